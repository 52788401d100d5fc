-- purpose: rounds

-- name: save
-- Note an alert as it is decided: (id, type, level, service, subject, discreet, run, site, event, raised_at, rung, told, acknowledged_at, acknowledged_by, settled_at, assigned_to, assigned_at, comment_event). Without a run, that of its subject's newest task; the site is the run's, else the event's, else that of the delivery point that the subject is.
with task_run as (
  select 'run-' || task.day || '-' || task.round_id as id from task
  where task.subject = $5 and task.round_id is not null order by task.day desc limit 1
), found as (
  select coalesce($7::text, (select id from task_run)) as run
)
insert into alert (id, type, level, service, subject, discreet, run, site, event, raised_at, rung, told,
  acknowledged_at, acknowledged_by, settled_at, assigned_to, assigned_at, comment_event, changed_at)
select $1, $2, $3, $4, $5, $6, found.run, coalesce((select round.site from round where round.id = substr(found.run, length('run-2026-11-21-') + 1)), $8,
    (select round.site from stop join round on round.id = stop.round_id
      where $5 ~ '^(access|delivery_point)/' and stop.delivery_point_id = split_part($5, '/', 2) order by round.id limit 1),
    (select round.site from delivery_point join round on round.id = delivery_point.round_id
      where $5 ~ '^(access|delivery_point)/' and delivery_point.id = split_part($5, '/', 2))),
  $9, $10, $11, $12, $13, $14, $15, $16, $17::timestamptz, $18::uuid, clock_timestamp()
from found
on conflict (id) do update set level = excluded.level, run = coalesce(excluded.run, alert.run),
  site = coalesce(excluded.site, alert.site), event = excluded.event, raised_at = excluded.raised_at, rung = excluded.rung,
  told = excluded.told, acknowledged_at = excluded.acknowledged_at, acknowledged_by = excluded.acknowledged_by, settled_at = excluded.settled_at,
  assigned_to = excluded.assigned_to, assigned_at = excluded.assigned_at, comment_event = excluded.comment_event, changed_at = excluded.changed_at;

-- name: page
-- List alarms and alerts of a site (null: of all), newest first, before a place in the list; (site, state, kind, level, run, raised_at, id, limit), null = any.
select id, type, level, service, subject, discreet, run, site, carrier, stop_id, event, raised_at, rung, told, acknowledged_at,
  acknowledged_by, settled_at, address, assigned_to, assigned_at, comment_event
from (
  select alarm.id, alarm.kind as type, 'urgent' as level, 'alarm' as service, 'alarm/' || alarm.id as subject, false as discreet,
    alarm.run, alarm.site, alarm.carrier, alarm.stop_id, alarm.event, alarm.raised_at, alarm.rung, alarm.told, alarm.acknowledged_at,
    alarm.acknowledged_by, null::timestamptz as settled_at, stop.address, alarm.assigned_to, alarm.assigned_at, alarm.comment_event
  from alarm
  left join stop on stop.round_id = substr(alarm.run, length('run-2026-11-21-') + 1) and stop.stop_id = alarm.stop_id
  where (alarm.raised_at, alarm.id) < ($6::timestamptz, $7::text)
  union all
  select alert.id, case when alert.discreet then 'timed_task.' || split_part(alert.type, '.', 2) else alert.type end,
    alert.level, alert.service, alert.subject, alert.discreet, alert.run, alert.site, null, null, alert.event, alert.raised_at,
    alert.rung, alert.told, alert.acknowledged_at, alert.acknowledged_by, alert.settled_at, null, alert.assigned_to,
    alert.assigned_at, alert.comment_event
  from alert
  where (alert.raised_at, alert.id) < ($6::timestamptz, $7::text)
) as found
where ($1::text is null or site = $1)
  and ($2::text is null or $2 = case when settled_at is not null then 'settled' when acknowledged_at is not null then 'acknowledged' else 'open' end)
  and ($3::text is null or type = $3) and ($4::text is null or level = $4) and ($5::text is null or run = $5)
order by raised_at desc, id desc
limit $8;

-- name: read
-- Read one alarm or alert; an alarm with the address of its stop.
select alarm.id, alarm.kind as type, 'urgent' as level, 'alarm' as service, 'alarm/' || alarm.id as subject, false as discreet,
  alarm.run, alarm.site, alarm.carrier, alarm.stop_id, alarm.event, alarm.raised_at, alarm.rung, alarm.told, alarm.acknowledged_at,
  alarm.acknowledged_by, null::timestamptz as settled_at, stop.address, alarm.assigned_to, alarm.assigned_at, alarm.comment_event
from alarm
left join stop on stop.round_id = substr(alarm.run, length('run-2026-11-21-') + 1) and stop.stop_id = alarm.stop_id
where alarm.id = $1
union all
select alert.id, case when alert.discreet then 'timed_task.' || split_part(alert.type, '.', 2) else alert.type end,
  alert.level, alert.service, alert.subject, alert.discreet, alert.run, alert.site, null, null, alert.event, alert.raised_at,
  alert.rung, alert.told, alert.acknowledged_at, alert.acknowledged_by, alert.settled_at, null, alert.assigned_to,
    alert.assigned_at, alert.comment_event
from alert where alert.id = $1;

-- name: changed
-- List the alerts that changed in the last seconds.
select id, case when discreet then 'timed_task.' || split_part(type, '.', 2) else type end as type, level, service, subject,
  discreet, run, site, event, raised_at, rung, told, acknowledged_at, acknowledged_by, settled_at, assigned_to, assigned_at
from alert where changed_at > now() - make_interval(secs => $1::double precision)
order by raised_at, id;

-- name: open
-- List the alerts of a site (null: of all) that nobody has taken yet, oldest first.
select id, case when discreet then 'timed_task.' || split_part(type, '.', 2) else type end as type, level, service, subject,
  discreet, run, site, event, raised_at, rung, told, acknowledged_at, acknowledged_by, settled_at, assigned_to, assigned_at
from alert where acknowledged_at is null and settled_at is null and ($1::text is null or site = $1)
order by raised_at, id;

-- name: forget_before
-- Forget the alerts that were taken or settled before a day; an open one stays.
delete from alert where least(acknowledged_at, settled_at) < $1::date;
