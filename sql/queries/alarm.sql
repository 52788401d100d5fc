-- purpose: rounds

-- name: save
-- Note an alarm as it is decided: (id, kind, run, site, carrier, stop_id, event, raised_at, acknowledged_at, acknowledged_by, rung, told, assigned_to, assigned_at, comment_event).
insert into alarm (id, kind, run, site, carrier, stop_id, event, raised_at, acknowledged_at, acknowledged_by, rung, told,
  assigned_to, assigned_at, comment_event, changed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::timestamptz, $15::uuid, clock_timestamp())
on conflict (id) do update set kind = excluded.kind, run = excluded.run, site = excluded.site, carrier = excluded.carrier,
  stop_id = excluded.stop_id, event = excluded.event, raised_at = excluded.raised_at,
  acknowledged_at = excluded.acknowledged_at, acknowledged_by = excluded.acknowledged_by, rung = excluded.rung,
  told = excluded.told, assigned_to = excluded.assigned_to, assigned_at = excluded.assigned_at, comment_event = excluded.comment_event,
  changed_at = excluded.changed_at;

-- name: read
-- Read one alarm with the address of its stop.
select alarm.id, alarm.kind, alarm.run, alarm.site, alarm.carrier, alarm.stop_id, alarm.raised_at, alarm.acknowledged_at,
  alarm.acknowledged_by, alarm.event, alarm.rung, stop.address, alarm.assigned_to, alarm.assigned_at
from alarm
left join stop on stop.round_id = substr(alarm.run, length('run-2026-11-21-') + 1) and stop.stop_id = alarm.stop_id
where alarm.id = $1;

-- name: changed
-- List the alarms that changed in the last seconds.
select id, kind, run, site, carrier, stop_id, raised_at, acknowledged_at, acknowledged_by, event, rung, assigned_to,
  assigned_at
from alarm where changed_at > now() - make_interval(secs => $1::double precision)
order by raised_at, id;

-- name: open
-- List the alarms of a site (null: of all) that nobody has taken yet, oldest first.
select id, kind, run, site, carrier, stop_id, raised_at, acknowledged_at, acknowledged_by, event, rung, assigned_to,
  assigned_at
from alarm where acknowledged_at is null and ($1::text is null or site = $1)
order by raised_at, id;

-- name: forget_before
-- Forget the alarms that somebody took before a day; an open one stays, and the event of each is in the journal.
delete from alarm where acknowledged_at < $1::date;

-- name: of_carrier
-- List a carrier's own newest alarms, with who has them: (site, carrier, limit).
select alarm.id, alarm.kind, alarm.raised_at, alarm.rung, alarm.told, alarm.acknowledged_at, account.kind as role,
  coalesce(account.email, account.name) as name
from alarm left join account on account.id = alarm.acknowledged_by
where alarm.site = $1 and alarm.carrier = $2 order by alarm.raised_at desc, alarm.id desc limit $3;
