-- purpose: operation

-- name: call
-- Have a duty desk told of an alert or alarm, as the subject's timer `desk`: (service, subject, alert_id). One of the site before one of all, an open one before all others.
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), clock_timestamp(), $1, 'desk', $2, $3,
  jsonb_build_object('alert_id', $3::text, 'desk', desk.name, 'contact', desk.contact)
from desk
cross join lateral (select now() at time zone desk.zone as moment) as here
cross join lateral (
  select ((extract(isodow from here.moment) - 1) * 1440 + extract(hour from here.moment) * 60 + extract(minute from here.moment))::integer as minute
) as week
cross join lateral (
  select exists (select 1 from unnest(desk.opens, desk.closes) as span (opens, closes) where week.minute >= span.opens and week.minute < span.closes) as is_open
) as now_open
where desk.site in ('*', coalesce((select alert.site from alert where alert.id = $3), (select alarm.site from alarm where alarm.id = $3)))
order by now_open.is_open desc, desk.site <> '*' desc, desk.name
limit 1
on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;

-- name: list
-- List the desks of a site, with those of all sites; of every site for null.
select site, name, contact, hours, opens, closes, zone from desk where $1::text is null or site in ('*', $1) order by site, name;

-- name: save
-- Set a desk: (site, name, contact, hours, opens, closes, zone).
insert into desk (site, name, contact, hours, opens, closes, zone, changed_at)
values ($1, $2, $3::jsonb, $4, $5::integer[], $6::integer[], $7, now())
on conflict (site, name) do update set contact = excluded.contact, hours = excluded.hours, opens = excluded.opens,
  closes = excluded.closes, zone = excluded.zone, changed_at = excluded.changed_at;

-- name: remove
-- Remove a desk.
delete from desk where site = $1 and name = $2 returning name;
