-- name: plan
-- Write a planned task, or change it: (task_id, service, subject, account, on, delivery_point, from, until, requirements, order_ref, sealed, event).
with before as (
  select day, round_id, changes from task where id = $1
), target as (
  select coalesce(
    (select stop.round_id from stop where stop.delivery_point_id = $6 order by stop.round_id limit 1),
    (select delivery_point.round_id from delivery_point where delivery_point.id = $6)) as round_id
), left_behind as (
  update run set version = run.version + before.changes + 1 from before, target
  where run.day = before.day and run.round_id = before.round_id
    and (before.day, before.round_id) is distinct from ($5::text::date, target.round_id)
)
insert into task (id, service, subject, account, day, delivery_point, round_id, window_from, window_until, requirements, order_ref,
  sealed, event)
select $1, $2, $3, $4, $5::text::date, $6, target.round_id, $7::timestamptz, $8::timestamptz, $9::text[], $10, $11::bytea, $12::uuid
from target
on conflict (id) do update set day = excluded.day, delivery_point = excluded.delivery_point, round_id = excluded.round_id,
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
  task.window_until, task.requirements, task.order_ref, task.sealed, task.event, task.state, task.seen_at, round.site
from task left join round on round.id = task.round_id
where task.id = $1;

-- name: read_many
-- Read tasks by their ids.
select task.id, task.service, task.subject, task.account, task.day, task.delivery_point, task.round_id, task.window_from,
  task.window_until, task.requirements, task.order_ref, task.sealed, task.event, task.state, task.seen_at, round.site
from task left join round on round.id = task.round_id
where task.id = any($1::text[]);

-- name: of_run
-- Read the open tasks of a round on a day.
select task.id, task.service, task.subject, task.account, task.day, task.delivery_point, task.round_id, task.window_from,
  task.window_until, task.requirements, task.order_ref, task.sealed, task.event, task.state, task.seen_at, null::text as site
from task where task.day = $1 and task.round_id = $2 and task.state = 'planned' order by task.window_from nulls last, task.id;

-- name: subjects_of_run
-- Where do the subjects of a day's tasks on a round lie?
select task.subject, stop.stop_id
from task join stop on stop.round_id = task.round_id and stop.delivery_point_id = task.delivery_point
where task.day = $1 and task.round_id = $2;

-- name: left_by_import
-- Give the runs that lose tasks by changed rounds a higher version, before the tasks move.
update run set version = run.version + moved.changes
from (
  select task.day, task.round_id, sum(task.changes) + 1 as changes from task
  where task.day >= $1 and task.round_id is distinct from coalesce(
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
  from task where task.day >= $1
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
