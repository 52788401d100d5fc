-- purpose: orders

-- name: save
-- Note a household as it is decided: (id, delivery_point_id, account, letter_id, state, tries, asked_at, proved_at, touched_at, ended_at, sealed).
insert into household (id, delivery_point_id, account, letter_id, state, tries, asked_at, proved_at, touched_at, ended_at, sealed)
values ($1, $2, $3, $4, $5, $6, $7::timestamptz, $8::timestamptz, $9::timestamptz, $10::timestamptz, $11::bytea)
on conflict (id) do update set delivery_point_id = excluded.delivery_point_id, account = excluded.account,
  letter_id = excluded.letter_id, state = excluded.state, tries = excluded.tries, asked_at = excluded.asked_at,
  proved_at = excluded.proved_at, touched_at = excluded.touched_at, ended_at = excluded.ended_at, sealed = excluded.sealed;

-- name: of_account
-- List the households of an account that it did not leave, oldest first.
select id, delivery_point_id, account, letter_id, state, tries, asked_at, proved_at, touched_at, sealed
from household where account = $1 and state <> 'left' order by asked_at, id;

-- name: of_points
-- Read what the proved households of delivery points tell their carriers.
select delivery_point_id, touched_at, sealed from household
where delivery_point_id = any($1::text[]) and state = 'proved' order by delivery_point_id, id;

-- name: asked_since
-- Count the letters that were asked for since a moment: for one account, and for one delivery point: (account, delivery_point_id, since).
select count(*) filter (where account = $1) as by_account, count(*) filter (where delivery_point_id = $2) as at_point
from household where (account = $1 or delivery_point_id = $2) and asked_at >= $3;

-- name: access_case
-- Read the case of a delivery point that its household asked about.
select delivery_point_id, site, state, opened_at, answer_due_at, reason, asked_by, mail_waits_at, mail_waits_until, decision,
  decided_at, until, sealed
from access_case where delivery_point_id = $1;
