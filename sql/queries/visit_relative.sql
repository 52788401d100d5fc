-- purpose: orders

-- name: clear
-- Forget who may follow a visit; whoever still may is written again in the same commit: (visit).
delete from visit_relative where visit = $1;

-- name: save
-- Note that somebody may follow a visit: (visit, digest, day, until).
insert into visit_relative (visit, digest, day, until) values ($1, $2, $3::text::date, $4::text::date)
on conflict (visit, digest) do update set day = excluded.day, until = excluded.until;

-- name: visits_of
-- List the visits that somebody may follow, the newest day first: (digest, today, since, limit).
select visit_relative.visit, task.day, task.window_from, task.window_until, task.state,
  task.state = 'planned' and (run.risk is not null
    or exists (select from window_threat where window_threat.task = task.id)) as at_risk
from visit_relative
join lateral (
  select id, day, round_id, window_from, window_until, state from task
  where task.subject = 'visit/' || visit_relative.visit order by task.day desc, task.id limit 1
) as task on true
left join run on run.day = task.day and run.round_id = task.round_id
where visit_relative.digest = $1 and (visit_relative.until is null or visit_relative.until >= $2)
  and task.day >= $3 order by task.day desc, visit_relative.visit limit $4;
