-- purpose: orders

-- name: save
-- Note a case as it is decided: (id, kind, subject, site, account, state, opened_at, due_at, closed_at, sealed).
insert into case_file (id, kind, subject, site, account, state, opened_at, due_at, closed_at, sealed)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (id) do update set kind = excluded.kind, subject = excluded.subject, site = excluded.site,
  account = excluded.account, state = excluded.state, opened_at = excluded.opened_at, due_at = excluded.due_at,
  closed_at = excluded.closed_at, sealed = excluded.sealed;

-- name: forget
-- Forget a case that did not come to be.
delete from case_file where id = $1;

-- name: read
-- Read one case.
select id, kind, subject, site, account, state, opened_at, due_at, closed_at, sealed from case_file where id = $1;

-- name: page
-- List cases, newest first, before a place in the list: (site or all, state or all, kind or all, opened_at, id, limit).
select id, kind, subject, site, account, state, opened_at, due_at, closed_at, sealed
from case_file
where ($1::text is null or site = $1) and ($2::text is null or state = $2) and ($3::text is null or kind = $3)
  and (opened_at, id) < ($4::timestamptz, $5::text)
order by opened_at desc, id desc
limit $6;

-- name: about
-- List the cases about one thing, newest first.
select id, kind, subject, site, account, state, opened_at, due_at, closed_at, sealed
from case_file where subject = $1 order by opened_at desc, id desc limit 20;

-- name: due
-- List open cases of a site or of all, by when their answer is due: (site or all, limit).
select id, kind, subject, site, account, state, opened_at, due_at, closed_at, sealed
from case_file where state = 'open' and ($1::text is null or site = $1) order by due_at nulls last, id limit $2;
