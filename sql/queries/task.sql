-- purpose: orders

-- name: plan
-- Write a planned task, or change it: (task_id, service, subject, account, on, delivery_point, from, until, requirements, order_ref, sealed, event).
with before as (
  select day, round_id, changes, moved_to, delivery_point from task where id = $1
), target as (
  select coalesce(
    (select before.moved_to from before where before.day = $5::text::date and before.delivery_point is not distinct from $6),
    (select stop_move.to_round from stop join stop_move on stop_move.round_id = stop.round_id and stop_move.stop_id = stop.stop_id
      where stop.delivery_point_id = $6 and stop_move.day = $5::text::date order by stop.round_id limit 1),
    (select stop.round_id from stop where stop.delivery_point_id = $6 order by stop.round_id limit 1),
    (select delivery_point.round_id from delivery_point where delivery_point.id = $6)) as round_id
), left_behind as (
  update run set version = run.version + before.changes + 1 from before, target
  where run.day = before.day and run.round_id = before.round_id
    and (before.day, before.round_id) is distinct from ($5::text::date, target.round_id)
), asked_for as (
  update request set left_day = before.day, left_round = before.round_id from before
  where request.subject = $3 and request.kind = 'other_date' and request.on_sheet and before.day is distinct from $5::text::date
), threatened as (
  insert into timer (id, due_at, handler, kind, subject, key, payload)
  select new_uuid7(), clock_timestamp(), $2, 'threatened', $3, $1,
    jsonb_build_object('reason', run.risk, 'task_id', $1::text, 'run_id', run.id)
  from target join run on run.day = $5::text::date and run.round_id = target.round_id
  where run.risk is not null and ($8::timestamptz is not null or run.risk = 'run_not_served')
  on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload
)
insert into task (id, service, subject, account, day, delivery_point, round_id, window_from, window_until, requirements, order_ref,
  sealed, event)
select $1, $2, $3, $4, $5::text::date, $6, target.round_id, $7::timestamptz, $8::timestamptz, $9::text[], $10, $11::bytea, $12::uuid
from target
on conflict (id) do update set day = excluded.day, delivery_point = excluded.delivery_point, round_id = excluded.round_id,
  moved_to = case when task.moved_to = excluded.round_id and task.day = excluded.day then task.moved_to end,
  window_from = excluded.window_from, window_until = excluded.window_until, requirements = excluded.requirements,
  order_ref = excluded.order_ref, sealed = excluded.sealed, event = excluded.event, changes = task.changes + 1;

-- name: close
-- End a task, or open it again: (task_id, state, at). Nothing for an unknown one; a new version of the sheet for a new state.
update task set state = $2, state_at = $3::timestamptz, changes = changes + (state is distinct from $2)::int
where id = $1 and (state, state_at) is distinct from ($2, $3::timestamptz);

-- name: mark_seen
-- The carrier has the sheet of this version: (run_id, version, at). Only the newest version says that every task on it was seen.
update task set seen_at = $3::timestamptz
from run join round on round.id = run.round_id
where run.id = $1 and task.day = run.day and task.round_id = run.round_id and task.state = 'planned' and task.seen_at is null
  and $2::bigint >= run.version + round.version
    + (select sum(other.changes) from task as other where other.day = run.day and other.round_id = run.round_id);

-- name: read
-- Read one task with the site of its round.
select task.id, task.service, task.subject, task.account, task.day, task.delivery_point, task.round_id, task.window_from,
  task.window_until, task.requirements, task.order_ref, task.sealed, task.event, task.state, task.seen_at, round.site,
  case when task.state = 'planned' and (task.window_until is not null or run.risk = 'run_not_served') then run.risk end as at_risk
from task left join round on round.id = task.round_id
left join run on run.day = task.day and run.round_id = task.round_id
where task.id = $1;

-- name: read_many
-- Read tasks by their ids.
select task.id, task.service, task.subject, task.account, task.day, task.delivery_point, task.round_id, task.window_from,
  task.window_until, task.requirements, task.order_ref, task.sealed, task.event, task.state, task.seen_at, round.site,
  case when task.state = 'planned' and (task.window_until is not null or run.risk = 'run_not_served') then run.risk end as at_risk
from task left join round on round.id = task.round_id
left join run on run.day = task.day and run.round_id = task.round_id
where task.id = any($1::text[]);

-- name: of_run
-- Read the open tasks of a round on a day.
select task.id, task.service, task.subject, task.account, task.day, task.delivery_point, task.round_id, task.window_from,
  task.window_until, task.requirements, task.order_ref, task.sealed, task.event, task.state, task.seen_at, null::text as site,
  null::text as at_risk
from task where task.day = $1 and task.round_id = $2 and task.state = 'planned' order by task.window_from nulls last, task.id;

-- name: subjects_of_runs
-- Where do the subjects of the tasks of runs lie? (days[], rounds[]). Each run is looked up (offset 0).
select wanted.day, wanted.round_id, found.subject, found.stop_id
from unnest($1::date[], $2::text[]) as wanted (day, round_id)
cross join lateral (
  select task.subject, stop.stop_id
  from task join stop on stop.round_id = task.round_id and stop.delivery_point_id = task.delivery_point
  where task.day = wanted.day and task.round_id = wanted.round_id offset 0
) as found;

-- name: left_by_import
-- Give the runs that lose tasks by changed rounds a higher version, before the tasks move.
update run set version = run.version + moved.changes
from (
  select task.day, task.round_id, sum(task.changes) + 1 as changes from task
  where task.day >= $1 and task.moved_to is null and task.round_id is distinct from coalesce(
    (select stop.round_id from stop where stop.delivery_point_id = task.delivery_point order by stop.round_id limit 1),
    (select delivery_point.round_id from delivery_point where delivery_point.id = task.delivery_point))
  group by task.day, task.round_id
) as moved
where run.day = moved.day and run.round_id = moved.round_id;

-- name: move_by_import
-- Put the tasks from a day on to the rounds that now serve their delivery points.
update task set round_id = target.round_id, changes = task.changes + 1
from (
  select task.id, coalesce(
    (select stop.round_id from stop where stop.delivery_point_id = task.delivery_point order by stop.round_id limit 1),
    (select delivery_point.round_id from delivery_point where delivery_point.id = task.delivery_point)) as round_id
  from task where task.day >= $1 and task.moved_to is null
) as target
where target.id = task.id and task.round_id is distinct from target.round_id;

-- name: claim_key
-- Claim an idempotency key, or take over one whose request never ended; nothing if it is held.
insert into idempotency (account, key, digest, at) values ($1, $2, $3, now())
on conflict (account, key) do update set digest = excluded.digest, at = excluded.at, status = null, answer = null
where idempotency.at < now() - interval '24 hours'
  or (idempotency.status is null and idempotency.at < now() - interval '60 seconds' and idempotency.digest = excluded.digest)
returning key;

-- name: held_key
-- Read what an idempotency key was used for.
select digest, status, answer from idempotency where account = $1 and key = $2;

-- name: settle_key
-- Keep the answer of a request under its key.
update idempotency set status = $3, answer = $4 where account = $1 and key = $2;

-- name: release_key
-- Give a key back whose request was refused.
delete from idempotency where account = $1 and key = $2 and status is null;

-- name: forget_keys
-- Delete keys older than a day.
delete from idempotency where at < now() - interval '24 hours';

-- name: threaten
-- Tell the open tasks with a window that their run is in danger, all of them if it will not be served: (run_id, reason, at).
with noted as (
  update run set risk = $2, risk_at = $3::timestamptz, changed_at = clock_timestamp()
  where id = $1 and risk is distinct from $2 returning id, day, round_id
), again as (
  delete from timer using noted join task on task.day = noted.day and task.round_id = noted.round_id
  where timer.handler = task.service and timer.kind = 'relieved' and timer.subject = task.subject and timer.key = task.id
)
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $3::timestamptz, task.service, 'threatened', task.subject, task.id,
  jsonb_build_object('reason', $2::text, 'task_id', task.id, 'run_id', noted.id)
from noted join task on task.day = noted.day and task.round_id = noted.round_id
where task.state = 'planned' and (task.window_until is not null or $2 = 'run_not_served')
on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;

-- name: relieve
-- Tell the same tasks that the danger is over, or `withdrawn`: a late fact says it never was: (run_id, happened_at, at).
with before as (
  select id, day, round_id, risk, risk_at from run where id = $1 and risk is not null
), noted as (
  update run set risk = null, risk_at = null, changed_at = clock_timestamp() from before where run.id = before.id
), again as (
  delete from timer using before join task on task.day = before.day and task.round_id = before.round_id
  where timer.handler = task.service and timer.kind = 'threatened' and timer.subject = task.subject and timer.key = task.id
)
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $3::timestamptz, task.service, 'relieved', task.subject, task.id, jsonb_build_object(
  'reason', before.risk, 'task_id', task.id, 'run_id', before.id, 'withdrawn', $2::timestamptz < before.risk_at)
from before join task on task.day = before.day and task.round_id = before.round_id
where task.state = 'planned' and (task.window_until is not null or before.risk = 'run_not_served')
on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;

-- name: move_to_run
-- Put open work of a run on another run of its day, and tell it where that puts it in danger or out: (from, to, tasks, stops, at).
with giver as (
  select id, day, round_id, risk from run where id = $1
), taker as (
  select run.id, run.round_id, run.risk from run join giver on run.day = giver.day and run.id <> giver.id where run.id = $2
), moved as (
  update task set round_id = taker.round_id, moved_to = taker.round_id, changes = task.changes + 1, seen_at = null
  from giver, taker
  where task.day = giver.day and task.round_id = giver.round_id and task.state = 'planned' and (task.id = any($3::text[])
    or task.delivery_point in (
      select stop.delivery_point_id from stop where stop.round_id = giver.round_id and stop.stop_id = any($4::text[])))
  returning task.id, task.service, task.subject, task.window_until, task.changes
), moved_stops as (
  insert into stop_move (day, round_id, stop_id, to_round)
  select giver.day, stop.round_id, stop.stop_id, taker.round_id
  from giver, taker, stop where stop.round_id = giver.round_id and stop.stop_id = any($4::text[])
  on conflict (day, round_id, stop_id) do update set to_round = excluded.to_round
), back as (
  delete from stop_move using giver, taker
  where stop_move.day = giver.day and stop_move.to_round = giver.round_id and stop_move.round_id = taker.round_id
    and stop_move.stop_id = any($4::text[])
), versions as (
  update run set version = run.version + 1
    + case when run.id = giver.id then coalesce((select sum(moved.changes) from moved), 0) else 0 end
  from giver, taker where run.id in (giver.id, taker.id)
)
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $5::timestamptz, moved.service, case when taker.risk is null then 'relieved' else 'threatened' end, moved.subject,
  moved.id, jsonb_build_object('reason', coalesce(taker.risk, giver.risk), 'task_id', moved.id, 'run_id', taker.id)
    || case when taker.risk is null then '{"withdrawn": false}'::jsonb else '{}'::jsonb end
from moved, giver, taker
where giver.risk is distinct from taker.risk
  and (moved.window_until is not null or 'run_not_served' in (coalesce(taker.risk, ''), coalesce(giver.risk, '')))
on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;

-- name: page
-- Page through the tasks of an account (null: the operator's own), newest day first: (account, site, on, state, service, day, id, limit).
select task.id, task.service, task.subject, task.account, task.day, task.delivery_point, task.round_id, task.window_from,
  task.window_until, task.requirements, task.order_ref, task.sealed, task.event, task.state, task.seen_at, round.site,
  case when task.state = 'planned' and (task.window_until is not null or run.risk = 'run_not_served') then run.risk end as at_risk
from task left join round on round.id = task.round_id
left join run on run.day = task.day and run.round_id = task.round_id
where task.account is not distinct from $1 and ($2::text is null or round.site = $2) and ($3::date is null or task.day = $3)
  and ($4::text is null or task.state = $4) and ($5::text is null or task.service = $5) and (task.day, task.id) < ($6::date, $7::text)
order by task.day desc, task.id desc
limit $8;

-- name: undone
-- List open tasks whose day is over, and whose window is: (today, now, after_day, after_id, limit).
select id, service, subject, day from task
where state = 'planned' and day < $1 and coalesce(window_until, $2::timestamptz) <= $2 and (day, id) > ($3::date, $4::text)
order by day, id limit $5;

-- name: begin_expiring
-- Let one process at a time end what was not done on its day.
select pg_try_advisory_lock(8121);

-- name: end_expiring
-- Let the next one.
select pg_advisory_unlock(8121);

-- name: of_subject
-- Find the newest task of an account on one of some subjects.
select task.id from task where task.subject = any($1::text[]) and task.account = $2 order by task.day desc, task.id limit 1;
