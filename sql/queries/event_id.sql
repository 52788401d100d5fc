-- purpose: journal

-- name: remember
-- Remember the ids of a batch; those that were known are not returned.
insert into event_id (id, day, shard, pos, site, content_hmac, received_at)
select id, day, shard, pos, site, content_hmac, received_at
from unnest($1::uuid[], $2::date[], $3::smallint[], $4::bigint[], $5::text[], $6::bytea[], $7::timestamptz[])
  as new (id, day, shard, pos, site, content_hmac, received_at)
on conflict do nothing
returning id;

-- name: known
-- Find what is remembered of ids.
select known.id, known.day, known.shard, known.pos, known.site, known.content_hmac
from unnest($1::uuid[]) as wanted (id)
cross join lateral (
  select id, day, shard, pos, site, content_hmac from event_id where event_id.id = wanted.id
) as known;

-- name: forget
-- Forget ids whose events went to quarantine in this commit.
delete from event_id where id = any($1::uuid[]);
