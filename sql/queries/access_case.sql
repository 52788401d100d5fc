-- purpose: orders

-- name: save
-- Note how the case of a delivery point stands: (delivery_point_id, site, state, opened_at, answer_due_at, reason, asked_by, mail_waits_at, mail_waits_until, decision, decided_at, until, sealed). `site` only counts for a point of no round.
insert into access_case (delivery_point_id, site, state, opened_at, answer_due_at, reason, asked_by, mail_waits_at, mail_waits_until,
  decision, decided_at, until, sealed)
values ($1, coalesce(
    (select round.site from round where round.id = coalesce(
      (select stop.round_id from stop where stop.delivery_point_id = $1 order by stop.round_id limit 1),
      (select delivery_point.round_id from delivery_point where delivery_point.id = $1))), $2),
  $3, $4::timestamptz, $5::timestamptz, $6, $7, $8, $9::text::date, $10, $11::timestamptz, $12::text::date, $13::bytea)
on conflict (delivery_point_id) do update set site = excluded.site, state = excluded.state, opened_at = excluded.opened_at,
  answer_due_at = excluded.answer_due_at, reason = excluded.reason, asked_by = excluded.asked_by,
  mail_waits_at = excluded.mail_waits_at, mail_waits_until = excluded.mail_waits_until, decision = excluded.decision,
  decided_at = excluded.decided_at, until = excluded.until, sealed = excluded.sealed;

-- name: drop
-- Forget the case of a delivery point: it never was one, or what was decided holds no longer.
delete from access_case where delivery_point_id = $1;

-- name: of_points
-- Read the cases of delivery points.
select delivery_point_id, site, state, opened_at, answer_due_at, reason, asked_by, mail_waits_at, mail_waits_until, decision,
  decided_at, until, sealed
from access_case where delivery_point_id = any($1::text[]) order by delivery_point_id;

-- name: page
-- List cases of a site (null: of all), oldest first, behind a place in the list; $2: only those that nobody has decided.
select delivery_point_id, site, state, opened_at, answer_due_at, reason, asked_by, mail_waits_at, mail_waits_until, decision,
  decided_at, until, sealed
from access_case
where ($1::text is null or site = $1) and (not $2::boolean or state = 'open')
  and (opened_at, delivery_point_id) > ($3::timestamptz, $4::text)
order by opened_at, delivery_point_id
limit $5;
