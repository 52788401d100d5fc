-- purpose: rounds

-- name: runs
-- Count the runs of a day by site and by what became of them.
select site, case
    when state <> 'planned' then state
    when risk = 'run_not_served' then 'not_served'
    when carrier is null or risk = 'uncovered' then 'uncovered'
    else 'planned' end as state, count(*) as runs
from run where day = $1 group by 1, 2;

-- name: tasks
-- Count the tasks of a day by site: all that hold, those that are done, and those whose window is over.
select round.site, sum(found.tasks)::bigint as tasks, sum(found.done)::bigint as done, sum(found.overdue)::bigint as overdue
from (
  select task.round_id, count(*) as tasks, count(*) filter (where task.state = 'done') as done,
    count(*) filter (where task.state = 'planned' and task.window_until < now()) as overdue
  from task where task.day = $1 and task.round_id is not null and task.state <> 'cancelled' group by task.round_id
) as found
join round on round.id = found.round_id
group by round.site;

-- name: alerts
-- Count the alarms and alerts that nobody has taken yet by site, and how many of them are urgent.
select site, count(*) as open, count(*) filter (where level = 'urgent') as urgent
from (
  select site, level from alert where acknowledged_at is null and settled_at is null
  union all
  select site, 'urgent' from alarm where acknowledged_at is null
) as found
where site is not null group by site;

-- name: places
-- Find the middle of the rounds of each site: of each round the point halfway through its line, else a stop in its middle.
select round.site, avg(coalesce(round.line[halfway.at + 1], stop.lon)) as lon, avg(coalesce(round.line[halfway.at + 2], stop.lat)) as lat
from round
cross join lateral (select 2 * (cardinality(round.line) / 4) as at) as halfway
left join lateral (
  select middle.lon, middle.lat from stop as middle where middle.round_id = round.id and cardinality(round.line) = 0
  order by middle.sequence offset (select count(*) / 2 from stop as every where every.round_id = round.id) limit 1
) as stop on true
group by round.site;
