-- purpose: what could not be taken

-- name: keep
-- Keep what could not be taken, once per device and content.
insert into quarantine (id, at, reason, device, site, digest, body)
select id, at, reason, device, site, digest, body
from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[])
  as new (id, at, reason, device, site, digest, body)
on conflict (device, digest) do nothing;

-- name: list
-- List what waits for a person, newest first.
select id, at, reason, device, site, settled_at, settled_as, octet_length(body) as size
from quarantine
where ($1 or settled_at is null) and id < $2
order by id desc
limit $3;

-- name: read
-- Read one entry.
select id, at, reason, device, site, body, settled_at, settled_as from quarantine where id = $1;

-- name: settle
-- Note how an entry ended.
update quarantine set settled_at = now(), settled_as = $2 where id = $1 and settled_at is null;

-- name: waiting
-- Count what waits, by reason.
select reason, count(*) as count from quarantine where settled_at is null group by reason;

-- name: counted
-- Count by site what was kept aside since a moment, whatever became of it.
select site, count(*) as events from quarantine where at >= $1 group by site;
