-- purpose: orders

-- name: put
-- Note a report as people judge it, or what became of it: (id, delivery_point_id, at, state, change, confidence, effective_on, round, score, sealed, decided_by, decided_at).
insert into address_report (id, delivery_point_id, reported_at, state, change, confidence, effective_on, round_id, score, sealed,
  decided_by, decided_at)
values ($1::uuid, $2, $3::timestamptz, $4, $5, $6, $7::text::date, $8, $9, $10::bytea, $11, $12::timestamptz)
on conflict (id) do update set reported_at = excluded.reported_at, state = excluded.state, change = excluded.change,
  confidence = excluded.confidence, effective_on = excluded.effective_on, round_id = excluded.round_id, score = excluded.score,
  sealed = excluded.sealed, decided_by = excluded.decided_by, decided_at = excluded.decided_at;

-- name: page
-- Page through the reports of a site, or of all, that stand so, the oldest first: (site, state, after_at, after_id, limit).
select report.id, report.delivery_point_id, report.reported_at, report.state, report.change, report.confidence, report.effective_on,
  report.sealed, report.decided_by, report.decided_at, served.round_id as served_by, served.stop_id, point.address, served.site
from address_report as report
left join delivery_point as point on point.id = report.delivery_point_id
left join lateral (
  select stop.stop_id, round.id as round_id, round.site from round
  left join stop on stop.round_id = round.id and stop.delivery_point_id = report.delivery_point_id
  where stop.stop_id is not null or round.id = point.round_id
  order by stop.round_id nulls last, stop.sequence limit 1
) as served on true
where ($2::text is null or report.state = $2) and ($1::text is null or served.site = $1)
  and (report.reported_at, report.id) > ($3::timestamptz, $4::uuid)
order by report.reported_at, report.id
limit $5;

-- name: read
-- Read one report with the site that serves its point.
select report.id, report.delivery_point_id, report.reported_at, report.state, report.change, report.confidence, report.effective_on,
  report.sealed, report.decided_by, report.decided_at, served.round_id as served_by, served.stop_id, point.address, served.site
from address_report as report
left join delivery_point as point on point.id = report.delivery_point_id
left join lateral (
  select stop.stop_id, round.id as round_id, round.site from round
  left join stop on stop.round_id = round.id and stop.delivery_point_id = report.delivery_point_id
  where stop.stop_id is not null or round.id = point.round_id
  order by stop.round_id nulls last, stop.sequence limit 1
) as served on true
where report.id = $1;
