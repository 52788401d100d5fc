-- purpose: planning of work

-- name: touch_point
-- Raise the versions of the sheets that show a delivery point.
update run set version = run.version + 1
where run.day >= (now() at time zone 'UTC')::date - 1 and (
  run.round_id in (
    select stop.round_id from stop where stop.delivery_point_id = $1
    union select delivery_point.round_id from delivery_point where delivery_point.id = $1)
  or (run.day, run.round_id) in (
    select task.day, task.round_id from task
    where task.delivery_point = $1 and task.day >= (now() at time zone 'UTC')::date - 1)
  or (run.day, run.round_id) in (
    select stop_move.day, stop_move.to_round
    from stop join stop_move on stop_move.round_id = stop.round_id and stop_move.stop_id = stop.stop_id
    where stop.delivery_point_id = $1 and stop_move.day >= (now() at time zone 'UTC')::date - 1));

-- name: set_identity
-- Note on which run, and when, the addressee of a task showed a document; nulls where it did not happen: (task_id, at, run). Other open tasks of the point come out anew on their sheets.
with changed as (
  update task set identity_at = $2::timestamptz, identity_run = $3
  where id = $1 and (identity_at, identity_run) is distinct from ($2::timestamptz, $3)
  returning delivery_point
)
update task set changes = task.changes + 1
from changed
where task.delivery_point = changed.delivery_point and task.state = 'planned' and task.id <> $1
  and task.day >= (now() at time zone 'UTC')::date - 1;

-- name: regular_carriers
-- Who knows a round, on a day?
select regular_carriers($1, $2::date) as carrier;

-- name: identities
-- Read the tasks of the last year whose addressees showed this carrier a document, at these delivery points: (points, carrier, day).
select task.delivery_point, task.account, task.sealed
from task join run on run.id = task.identity_run
where task.delivery_point = any($1::text[]) and task.identity_at is not null and run.carrier = $2
  and task.day >= $3::date - 365
order by task.delivery_point, task.id;

-- name: digests
-- Read the digests of a version that was shown; empty where two differed under one number.
select digests from sheet_shown where run = $1 and version = $2;

-- name: keep_digests
-- Remember what a version was made of, and of each run the last eight versions: (run, version, day, digests).
with gone as (
  delete from sheet_shown
  where run = $1 and version <= (
    select older.version from sheet_shown as older where older.run = $1 order by older.version desc offset 7 limit 1)
)
insert into sheet_shown (run, version, day, digests) values ($1, $2, $3, $4)
on conflict (run, version) do update set digests = '\x' where sheet_shown.digests <> excluded.digests;

-- name: forget_before
-- Forget what was shown before a day.
delete from sheet_shown where day < $1;

-- name: close_checks
-- An address was reported: what was ordered as a check of it is told so by a command: (delivery_point_id, event, at).
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $3::timestamptz, 'check_address', 'command', 'delivery_point/' || $1, 'address.checked ' || $2,
  jsonb_build_object('type', 'address.checked', 'data',
    jsonb_build_object('delivery_point_id', $1::text, 'result', 'reported', 'report_id', $2::text))
where exists (
  select 1 from task where task.delivery_point = $1 and task.service = 'check_address' and task.state = 'planned')
on conflict do nothing;
