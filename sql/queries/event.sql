-- purpose: journal

-- name: last_of_shard
-- Find the newest row of a shard.
select day, pos, chain from event where shard = $1 order by day desc, pos desc limit 1;

-- name: public_after
-- Read the public rows of a shard behind a cursor, in order.
select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
from event
where shard = $1 and day >= $2 and (day > $2 or pos > $3) and kind = 'public'
order by day, pos
limit $4;

-- name: ends
-- Find the newest position of every shard.
select shard.id as shard, last.day, last.pos
from shard
left join lateral (
  select event.day, event.pos from event where event.shard = shard.id order by event.day desc, event.pos desc limit 1
) as last on true;

-- name: oldest
-- Find the oldest position of every shard.
select shard.id as shard, first.day, first.pos
from shard
left join lateral (
  select event.day, event.pos from event where event.shard = shard.id order by event.day, event.pos limit 1
) as first on true;

-- name: public_by_id
-- Find one public row on a day.
select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
from event
where id = $1 and part = $2 and day = $3 and kind = 'public';

-- name: chain_of_shard
-- Read every row of a shard behind a cursor, with what its chain covers.
select day, shard, pos, id, part, kind, type, subject, subject_seq, account, site, run, occurred_at, received_at,
  public, sealed_sha256, chain
from event
where shard = $1 and day >= $2 and (day > $2 or pos > $3)
order by day, pos
limit $4;

-- name: field_by_id
-- Find one field event on a day.
select id, type, subject, account, site, run, occurred_at, received_at, public
from event
where id = $1 and day = $2 and kind = 'field';
