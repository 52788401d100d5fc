-- purpose: places

-- name: read
-- Read what was learned of a round.
select body from learned_time where round_id = $1;

-- name: waiting
-- List runs that ended long enough ago and were not taken in yet, the oldest first: (settled_s, limit).
select id from run
where state = 'ended' and not learned and state_at < now() - make_interval(secs => $1)
order by state_at limit $2;

-- name: claim
-- Take a run in, unless that is done: its day, its round, what the journal decided, and whether its plan is still that of the day.
update run set learned = true
from round
where run.id = $1 and run.state = 'ended' and not run.learned and round.id = run.round_id
returning run.day, run.round_id, round.version = 1 or round.changed_at < (
    select min(progress.at) from progress where progress.day = run.day and progress.run = run.id
  ) as is_as_planned,
  (select body from state where handler = 'run' and subject = 'run/' || run.id) as body;

-- name: pass_over
-- Never look at a run again whose round is gone.
update run set learned = true where id = $1 and not exists (select 1 from round where round.id = run.round_id);

-- name: begin
-- Begin to learn of a round.
insert into learned_time (round_id, body) values ($1, ''::bytea) on conflict do nothing;

-- name: lock
-- Read what was learned of a round, while nobody else changes it.
select body from learned_time where round_id = $1 for update;

-- name: save
-- Keep what was learned of a round: (round_id, body).
update learned_time set body = $2 where round_id = $1;

-- name: run
-- Read a run of a site, or of any, with its duty as committed and where it is: (run_id, site).
select run.id, run.day, run.round_id, run.state, run.state_at, run_state.through_at, run_state.distance_along_m, run_state.status,
  state.body
from run
left join run_state on run_state.run = run.id
left join state on state.handler = 'run' and state.subject = 'run/' || run.id
where run.id = $1 and ($2::text is null or run.site = $2);

-- name: open_work
-- Count a run's open tasks by stop, with the narrowest end of their time windows: (day, round_id).
select stop.stop_id, count(*) as tasks, min(task.window_until) as window_until
from task join stop on stop.round_id = task.round_id and stop.delivery_point_id = task.delivery_point
where task.day = $1 and task.round_id = $2 and task.state = 'planned'
group by stop.stop_id;
