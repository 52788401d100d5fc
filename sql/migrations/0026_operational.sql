-- Operational events: what the account of an endpoint was told, so that nothing is told twice and nothing is forgotten
--
-- Lanes, endpoints and dead letters are the record of what happened. `told` repeats of each endpoint what its account knows of
-- it already: the difference is what is told next, by whichever process finds it. `lagging_since` is an episode of lag that was
-- told and has not ended, `retention_day` the last day of events in danger that was announced. `said` counts what was told in
-- the `hour`: beyond a limit it waits for the next one.

create table told (
  endpoint text not null constraint told_pk primary key constraint told_endpoint references endpoint on delete cascade,
  opened_at timestamptz,
  failing_since timestamptz,
  warned smallint not null default 0,
  stopped_at timestamptz,
  lagging_since timestamptz,
  retention_day date,
  hour timestamptz,
  said integer not null default 0
) with (fillfactor = 50);

-- What was given up, and who was disabled, before there was anybody to tell it is no news.
alter table dead_letter add column told boolean not null default true;
alter table dead_letter alter column told set default false;
insert into told (endpoint, opened_at, stopped_at)
select e.id, l.opened_at, e.stopped_at from endpoint e join lane l on l.endpoint = e.id where e.state = 'disabled';

alter table parked add column told boolean not null default false;

create index dead_letter_untold on dead_letter (endpoint, at) where not told and subject not like 'endpoint/%';
