-- purpose: orders

-- name: save
-- Note an idea as it stands: (id, site, status, votes, submitted_at, decided_at, sealed).
insert into idea (id, site, status, votes, submitted_at, decided_at, sealed) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (id) do update set site = excluded.site, status = excluded.status, votes = excluded.votes,
  submitted_at = excluded.submitted_at, decided_at = excluded.decided_at, sealed = excluded.sealed;

-- name: forget
-- Forget an idea that did not come to be.
delete from idea where id = $1;

-- name: page
-- List ideas, newest first, before a place in the list: (site or all, status or all, submitted_at, id, limit).
select id, site, status, votes, submitted_at, decided_at, sealed
from idea
where ($1::text is null or site = $1) and ($2::text is null or status = $2)
  and (submitted_at, id) < ($3::timestamptz, $4::text)
order by submitted_at desc, id desc
limit $5;
