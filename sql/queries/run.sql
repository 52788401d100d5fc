-- name: plan_day
-- Make the runs of a day: one for each roster row, and one for each device's own round that no roster row names.
with walked as (
  select roster.round_id, roster.carrier from roster where roster.day = $1
  union all
  select device.round_id, min(device.carrier) from device
  where device.round_id is not null and device.revoked_at is null and device.lost_at is null
    and not exists (select 1 from roster where roster.day = $1 and roster.round_id = device.round_id)
    and not exists (select 1 from roster where roster.day = $1 and roster.carrier = device.carrier)
  group by device.round_id
)
insert into run (id, day, round_id, site, carrier, changed_at)
select 'run-' || to_char($1::date, 'YYYY-MM-DD') || '-' || round.id, $1, round.id, round.site, walked.carrier, clock_timestamp()
from walked join round on round.id = walked.round_id
on conflict (day, round_id) do update set carrier = excluded.carrier, changed_at = excluded.changed_at
where run.carrier is distinct from excluded.carrier;

-- name: add
-- Make one run, unless it exists.
insert into run (id, day, round_id, site, carrier, changed_at)
select 'run-' || to_char($1::date, 'YYYY-MM-DD') || '-' || round.id, $1, round.id, round.site, $3, clock_timestamp()
from round where round.id = $2
on conflict do nothing;

-- name: unsaid
-- List the runs of a day of which the journal does not know yet whether they are covered.
select id from run where day = $1 and said is distinct from case when carrier is null then 'uncovered' else 'covered' end
order by id;

-- name: kept_by_hours
-- List the covered runs of a day that are in one of these states, for the hours of duty.
select id from run where day = $1 and carrier is not null and said = 'covered' and state = any($2::text[]) order by id;

-- name: lock_saying
-- Let one process at a time tell the journal about a run.
select pg_advisory_lock(hashtextextended($1, 8118));

-- name: unlock_saying
-- Let the next one.
select pg_advisory_unlock(hashtextextended($1, 8118));

-- name: what_is_said
-- Read what the journal knows of a run, and what it should know.
select id, day, round_id, site, carrier, said, state from run where id = $1;

-- name: set_said
-- Note what the journal knows of a run.
update run set said = $2 where id = $1;

-- name: read
-- Read one run with the version of its sheet.
select run.id, run.day, run.round_id, run.site, run.carrier, run.state, round.version as round_version,
  (run.version + round.version + coalesce(
    (select sum(task.changes) from task where task.day = run.day and task.round_id = run.round_id), 0))::bigint as sheet_version
from run join round on round.id = run.round_id
where run.id = $1;

-- name: set_state
-- Note the state of a run: (run_id, state, at). It counts as changed also where only the duty behind it did.
update run set state = $2, state_at = $3::timestamptz, version = version + (state is distinct from $2)::int,
  changed_at = clock_timestamp()
where id = $1;
