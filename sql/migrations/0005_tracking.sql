-- Tracking: how far each run is along its round, and nothing of where its carrier was beside it
--
-- A fix is matched when it arrives and forgotten: `progress` keeps the metres along the planned line and a status, and off
-- the round not even that. `run_state` is the newest of it, with what the matcher needs for the next fix (distances along
-- the line, never a place); its row is locked by whoever takes an upload, so that several processes can. `track` stays empty
-- and without partitions unless the operator keeps tracks for some days (FIELDSVC_KEEP_TRACKS_DAYS).
--
-- `day` is the local day in the run's id. Days are made eight back and eight ahead, and dropped when they are too old.
-- `updated_at` and `run.changed_at` are wall-clock times of the write: readers of the live state ask for the last seconds.

create table run_state (
  run text not null constraint run_state_pk primary key,
  day date not null,
  matcher bytea not null default '\x',
  through_at timestamptz,
  distance_along_m double precision,
  status text not null default 'unknown' constraint run_state_status
    check (status in ('on_round', 'at_stop', 'off_round', 'unknown')),
  version bigint not null default 0,
  updated_at timestamptz not null
) with (fillfactor = 50);

create index run_state_by_update on run_state (updated_at);

create table progress (
  day date not null,
  run text not null,
  at timestamptz not null,
  distance_along_m double precision,
  status text not null,
  received_at timestamptz not null,
  constraint progress_pk primary key (day, run, at)
) partition by range (day);

create table track (
  day date not null,
  run text not null,
  at timestamptz not null,
  lat double precision not null,
  lon double precision not null,
  accuracy_m double precision,
  constraint track_pk primary key (day, run, at)
) partition by range (day);

alter table run add column changed_at timestamptz not null default now();
create index run_by_change on run (changed_at);

-- Make day partitions of `progress` or `track` from a day on; return how many were missing.
create function make_days_of(parent text, first date, count integer) returns integer language plpgsql as $$
declare
  made integer := 0;
  day date;
begin
  perform pg_advisory_xact_lock(hashtextextended(parent, 8119));  -- processes that start at once make them one after the other
  for step in 0 .. count - 1 loop
    day := first + step;
    if to_regclass(parent || '_' || to_char(day, 'YYYYMMDD')) is null then
      execute format('create table %I partition of %I for values from (%L) to (%L)',
        parent || '_' || to_char(day, 'YYYYMMDD'), parent, day, day + 1);
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;

-- Drop the day partitions of `progress` or `track` before a day; return how many there were.
create function drop_days_of(parent text, before date) returns integer language plpgsql as $$
declare
  dropped integer := 0;
  child text;
begin
  perform pg_advisory_xact_lock(hashtextextended(parent, 8119));
  for child in
    select inhrelid::regclass::text from pg_inherits
    where inhparent = parent::regclass and right(inhrelid::regclass::text, 8) < to_char(before, 'YYYYMMDD')
  loop
    execute format('drop table %I', child);
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;

select make_days_of('progress', (now() at time zone 'UTC')::date - 8, 17);
