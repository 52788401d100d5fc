-- Alarms: which are open, for the screens; the alarm itself, with its place, is in the journal
--
-- Written only by decisions, in the journal's commit. `event` finds the sealed place. `changed_at` is the wall-clock time of
-- the write.

create table alarm (
  id text not null constraint alarm_pk primary key,
  kind text not null,
  run text,
  site text,
  carrier text,
  stop_id text,
  event uuid not null,
  raised_at timestamptz not null,
  acknowledged_at timestamptz,
  acknowledged_by text,
  changed_at timestamptz not null
) with (fillfactor = 70);

create index alarm_by_change on alarm (changed_at);
create index alarm_open on alarm (raised_at) where acknowledged_at is null;
