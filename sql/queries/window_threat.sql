-- purpose: orders

-- name: runs
-- List the runs at work that have open tasks whose window ends between two moments, or are threatened: (day, from, until).
select distinct run.id
from run join task on task.day = run.day and task.round_id = run.round_id
where run.day = $1 and run.state in ('started', 'paused') and task.state = 'planned' and task.window_until > $2
  and (task.window_until < $3 or exists (select 1 from window_threat where window_threat.task = task.id));

-- name: of_run
-- List the open tasks of a run that have a window, with their stop, and whether they are threatened.
select task.id, task.window_until, stop.stop_id, window_threat.task is not null as is_threatened
from run
join task on task.day = run.day and task.round_id = run.round_id
join stop on stop.round_id = task.round_id and stop.delivery_point_id = task.delivery_point
left join window_threat on window_threat.task = task.id
where run.id = $1 and task.state = 'planned' and task.window_until is not null;

-- name: threaten
-- Tell tasks once that their run will be too late for their window: (run_id, task_ids, at).
with fresh as (
  insert into window_threat (task, at) select task, $3 from unnest($2::text[]) as new (task) on conflict do nothing returning task
)
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $3, task.service, 'threatened', task.subject, task.id,
  jsonb_build_object('reason', 'delay', 'task_id', task.id, 'run_id', $1::text)
from fresh join task on task.id = fresh.task
on conflict (handler, kind, subject, key) do nothing;

-- name: relieve
-- Tell tasks that they will be served in time after all, unless their run is in danger for another reason: (run_id, task_ids, at).
with gone as (
  delete from window_threat where task = any($2::text[]) returning task
)
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $3, task.service, 'relieved', task.subject, task.id,
  jsonb_build_object('reason', 'delay', 'task_id', task.id, 'run_id', $1::text, 'withdrawn', false)
from gone join task on task.id = gone.task
where not exists (select 1 from run where run.id = $1 and run.risk is not null)
on conflict (handler, kind, subject, key) do nothing;

-- name: strand
-- Tell the pouches that a carrier still had when the run ended, some minutes ago, unless that is known: (first_day, ended_before, at).
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $3, 'medication', 'stranded', run_thing.thing, run.id,
  jsonb_build_object('reason', 'still_with_carrier', 'run_id', run.id)
from run join run_thing on run_thing.run = run.id
where run.day >= $1 and run.state = 'ended' and run.state_at < $2 and run_thing.place = 'carrier'
  and run_thing.thing like 'pouch/%' and not exists (
    select 1 from alert where alert.subject = run_thing.thing and alert.type = 'medication.stranded' and alert.settled_at is null)
on conflict (handler, kind, subject, key) do nothing;

-- name: forget
-- Forget the threats of tasks that are over or gone.
delete from window_threat where not exists (select 1 from task where task.id = window_threat.task and task.state = 'planned');
