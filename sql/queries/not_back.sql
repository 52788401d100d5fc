-- purpose: rounds

-- name: runs
-- Page through the runs of a day that were started and did not end, of one site or of all, with how much of what they took is still out: (day, site, after, limit).
select run.id, run.day, run.round_id, run.site, run.carrier, run.state, round.version as round_version, run_state.through_at,
  run_state.distance_along_m, run_state.status, state.body, round.name,
  (select count(*) from run_thing where run_thing.run = run.id and run_thing.place = 'carrier'
    and run_thing.thing ~ '^(item|pouch|key)/') as things_out
from run
left join round on round.id = run.round_id
left join run_state on run_state.run = run.id
left join state on state.handler = 'run' and state.subject = 'run/' || run.id
where run.day = $1 and run.state in ('started', 'paused') and ($2::text is null or run.site = $2) and run.id > $3
order by run.id
limit $4;

-- name: tasks
-- List the open tasks of rounds on a day, the first due first, with the stop that each is for: (day, round_ids[]).
select task.id, task.service, task.round_id, stop.stop_id, coalesce(stop.address, delivery_point.address) as address,
  task.window_from, task.window_until
from task
left join delivery_point on delivery_point.id = task.delivery_point
left join lateral (
  select stop.stop_id, stop.address from stop where stop.delivery_point_id = task.delivery_point
  order by (stop.round_id = task.round_id) desc, stop.round_id, stop.sequence limit 1
) as stop on true
where task.day = $1 and task.round_id = any($2::text[]) and task.state = 'planned'
order by task.window_until nulls last, task.id;
