-- Supervision: what happened on a run is found by its run, and an alert is somebody's before they took it
--
-- `event_by_run` is of public rows alone, by the moments in which a run is told (two of one moment are put in order when they are
-- read: each column more is paid by every event); the partitions of the days have it each. Pictures
-- are found by the event that names them. Who an alert was assigned to is decided like its acknowledgement; `comment_event` finds
-- what was said to it last, which stays sealed in the journal. `assigned_to` is an account, or `desk:` and the name of a desk.

create index event_by_run on event (run, occurred_at) where kind = 'public' and run is not null;
create index media_want_by_event on media_want (event);

alter table alert add column assigned_to text, add column assigned_at timestamptz, add column comment_event uuid;
alter table alarm add column assigned_to text, add column assigned_at timestamptz, add column comment_event uuid;
