-- purpose: planning of work

-- name: plan_day
-- Make the runs of a day: one for each roster row, and one for each device's own round that no roster row names: (day, start).
with walked as (
  select roster.round_id, roster.carrier, roster.starts_at from roster where roster.day = $1
  union all
  select device.round_id, min(device.carrier), null from device
  where device.round_id is not null and device.revoked_at is null and device.lost_at is null
    and not exists (select 1 from roster where roster.day = $1 and roster.round_id = device.round_id)
    and not exists (select 1 from roster where roster.day = $1 and roster.carrier = device.carrier)
  group by device.round_id
)
insert into run (id, day, round_id, site, carrier, starts_at, changed_at)
select 'run-' || to_char($1::date, 'YYYY-MM-DD') || '-' || round.id, $1, round.id, round.site,
  case when absence.carrier is null then walked.carrier end, coalesce(walked.starts_at, site.starts_at, $2::time), clock_timestamp()
from walked join round on round.id = walked.round_id
join site on site.id = round.site
left join absence on absence.day = $1 and absence.site = round.site and absence.carrier = walked.carrier
on conflict (day, round_id) do update set carrier = excluded.carrier, starts_at = excluded.starts_at,
  version = run.version + (run.carrier is distinct from excluded.carrier)::int, changed_at = excluded.changed_at
where (run.carrier, run.starts_at) is distinct from (excluded.carrier, excluded.starts_at);

-- name: add
-- Make one run, unless it exists: (day, round_id, carrier, start).
insert into run (id, day, round_id, site, carrier, starts_at, changed_at)
select 'run-' || to_char($1::date, 'YYYY-MM-DD') || '-' || round.id, $1, round.id, round.site, $3,
  coalesce(site.starts_at, $4::time), clock_timestamp()
from round join site on site.id = round.site where round.id = $2
on conflict do nothing;

-- name: unsaid
-- List the runs of a day of which the journal does not know yet whether they are covered, or when they start.
select id from run where day = $1 and (said is distinct from case when carrier is null then 'uncovered' else 'covered' end
  or said_starts_at is distinct from starts_at)
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
select id, day, round_id, site, carrier, said, state, starts_at, said_starts_at from run where id = $1;

-- name: set_said
-- Note what the journal knows of a run: (run_id, cover, starts_at).
update run set said = $2, said_starts_at = $3 where id = $1;

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

-- name: reassign
-- Give a run to another carrier, in the roster too: (run_id, carrier). Who walks by no roster keeps their own run by it.
with given as (
  update run set carrier = $2, version = version + 1, changed_at = clock_timestamp() where id = $1 returning day, round_id, site
), able as (
  select carrier_of_site.qualifications from carrier_of_site
  join given on given.site = carrier_of_site.site where carrier_of_site.carrier = $2
)
insert into roster (day, round_id, carrier, qualifications)
select given.day, given.round_id, $2, coalesce((select qualifications from able), '{}') from given
union all
select own.day, own.round_id, $2, coalesce((select qualifications from able), '{}')
from given join run as own on own.day = given.day and own.carrier = $2 and own.round_id <> given.round_id
where not exists (select 1 from roster where roster.day = own.day and roster.round_id = own.round_id)
on conflict (day, round_id) do update set carrier = excluded.carrier, qualifications = excluded.qualifications;

-- name: reconcile
-- Tell a run what became of what it took, by a command of a later commit: (run_id, at). In the carrier's hands is missing.
with noted as (
  update run set reconciled_at = $2 where id = $1
), found as (
  select thing, case when place = 'carrier' then 'missing'
    when place = 'office' and thing like 'item/%' then 'held'
    when place in ('office', 'pharmacy', 'safe', 'sender') then 'brought_back'
    else 'delivered' end as outcome
  from run_thing where run = $1 and thing ~ '^(item|pouch|key)/'
)
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $2, 'run', 'command', 'run/' || $1::text, 'reconciled', jsonb_build_object('type', 'run.reconciled', 'data',
  jsonb_build_object('run_id', $1::text, 'taken', coalesce(jsonb_agg(thing order by thing), '[]'),
    'delivered', coalesce(jsonb_agg(thing order by thing) filter (where outcome = 'delivered'), '[]'),
    'held', coalesce(jsonb_agg(thing order by thing) filter (where outcome = 'held'), '[]'),
    'brought_back', coalesce(jsonb_agg(thing order by thing) filter (where outcome = 'brought_back'), '[]'),
    'missing', coalesce(jsonb_agg(thing order by thing) filter (where outcome = 'missing'), '[]')))
from found
on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;

-- name: change_of
-- Read what deciding about a move needs to know of a run: (run_id).
select id, day, round_id, site, carrier, state from run where id = $1;

-- name: stops_between
-- List the stops of a round from one to another in planned order, without those that moved to another run of the day.
select stop.stop_id from stop
join stop as first on first.round_id = stop.round_id and first.stop_id = $3
join stop as last on last.round_id = stop.round_id and last.stop_id = $4
where stop.round_id = $2 and stop.sequence between first.sequence and last.sequence
  and not exists (select 1 from stop_move where stop_move.day = $1 and stop_move.round_id = $2 and stop_move.stop_id = stop.stop_id)
order by stop.sequence, stop.stop_id;

-- name: moved_stops
-- Read the stops that moved between the runs of a day, to this round or away, and those of single tasks that came: (day, round_id).
select moved.round_id, moved.to_round, stop.stop_id, stop.sequence, stop.delivery_point_id, stop.lat, stop.lon, stop.side,
  stop.address, stop.box_lat, stop.box_lon
from (
  select round_id, to_round, stop_id from stop_move where day = $1 and (to_round = $2 or round_id = $2)
  union
  select home.round_id, task.round_id, home.stop_id from task
  cross join lateral (
    select stop.round_id, stop.stop_id from stop where stop.delivery_point_id = task.delivery_point
    order by stop.round_id, stop.sequence, stop.stop_id limit 1) as home
  where task.day = $1 and task.round_id = $2 and task.moved_to = $2 and task.state = 'planned' and home.round_id <> $2
) as moved
join stop on stop.round_id = moved.round_id and stop.stop_id = moved.stop_id
order by moved.round_id, stop.sequence, stop.stop_id;
