-- purpose: rounds

-- name: running
-- Read the runs from a day on that are started or paused, with where they are and their duty as committed.
select run.id, run.day, run.round_id, run.site, run.carrier, run.state, round.version as round_version, run_state.through_at,
  run_state.distance_along_m, run_state.status, state.body
from run
left join round on round.id = run.round_id
left join run_state on run_state.run = run.id
left join state on state.handler = 'run' and state.subject = 'run/' || run.id
where run.day >= $1 and run.state in ('started', 'paused');

-- name: changed_runs
-- Read the runs from a day on whose state, duty or carrier changed in the last seconds: (first_day, within_s).
select run.id, run.day, run.round_id, run.site, run.carrier, run.state, round.version as round_version, run_state.through_at,
  run_state.distance_along_m, run_state.status, state.body
from run
left join round on round.id = run.round_id
left join run_state on run_state.run = run.id
left join state on state.handler = 'run' and state.subject = 'run/' || run.id
where run.changed_at > now() - make_interval(secs => $2) and run.day >= $1;

-- name: moved
-- Read where the runs are of which something was written in the last seconds, and the versions of their rounds: (within_s).
select run_state.run, run_state.through_at, run_state.distance_along_m, run_state.status, round.id as round_id,
  round.version as round_version
from run_state
left join run on run.id = run_state.run
left join round on round.id = run.round_id
where run_state.updated_at > now() - make_interval(secs => $1);

-- name: lines
-- Read the lines of rounds, with their versions.
select id, version, line from round where id = any($1::text[]);

-- name: line_through_stops
-- Read the places of the stops of rounds that have no line of their own, in planned order.
select round_id, stop_id, lat, lon from stop where round_id = any($1::text[]) order by round_id, sequence, stop_id;

-- name: rounds_of_site
-- Read the rounds of a site, or of all, with their lines and without their stops.
select id, site, mode, name, version, line from round where $1::text is null or site = $1 order by id;

-- name: mark_of_site
-- Sum up the rounds of a site, or of all, in a text that changes whenever one is imported, changed or removed.
select count(*) || '-' || coalesce(sum(hashtextextended(id || ' ' || version || ' ' || encode(digest, 'hex'), 0)), 0)
from round where $1::text is null or site = $1;

-- name: runs_of_day
-- Page through the runs of a day, of one site or of all, with their tasks: (day, site, after, limit).
select run.id, run.day, run.round_id, run.site, run.carrier, run.state, run.state_at, round.version as round_version, round.mode,
  round.name, run_state.through_at, run_state.distance_along_m, run_state.status, state.body,
  (select count(*) from stop where stop.round_id = run.round_id) as stops, planned.total, planned.done, planned.overdue, run.risk
from run
left join round on round.id = run.round_id
left join run_state on run_state.run = run.id
left join state on state.handler = 'run' and state.subject = 'run/' || run.id
left join lateral (
  select count(*) as total, count(*) filter (where task.state = 'done') as done,
    count(*) filter (where task.state = 'planned' and task.window_until < now()) as overdue
  from task where task.day = run.day and task.round_id = run.round_id and task.state <> 'cancelled'
) as planned on true
where run.day = $1 and ($2::text is null or run.site = $2) and run.id > $3
order by run.id
limit $4;

-- name: run
-- Read one run of a site, or of any: (run_id, site).
select run.id, run.day, run.round_id, run.site, run.carrier, run.state, round.version as round_version, round.mode
from run left join round on round.id = run.round_id
where run.id = $1 and ($2::text is null or run.site = $2);

-- name: progress_of_run
-- Read the progress of a run in the order of its moments: (day, run, limit).
select at, distance_along_m, status, received_at from progress where day = $1 and run = $2 order by at limit $3;
