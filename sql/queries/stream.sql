-- purpose: operation

-- name: open
-- Give every shard its lane to the broker, free.
insert into stream_lane (shard, leased_until) select shard.id, now() from shard on conflict do nothing;

-- name: claim
-- Take the free shards for an owner, each with its next epoch.
update stream_lane set owner = $1, epoch = stream_lane.epoch + 1, leased_until = now() + make_interval(secs => $2)
from (select shard from stream_lane where leased_until <= now() order by shard for update skip locked) free
where stream_lane.shard = free.shard
returning stream_lane.shard, stream_lane.epoch;

-- name: renew
-- Keep shards; those that are not returned are lost.
update stream_lane set leased_until = now() + make_interval(secs => $4)
from unnest($2::smallint[], $3::bigint[]) as mine (shard, epoch)
where stream_lane.shard = mine.shard and stream_lane.epoch = mine.epoch and stream_lane.owner = $1
returning stream_lane.shard;

-- name: release
-- Give shards up.
update stream_lane set owner = null, leased_until = now()
from unnest($2::smallint[], $3::bigint[]) as mine (shard, epoch)
where stream_lane.shard = mine.shard and stream_lane.epoch = mine.epoch and stream_lane.owner = $1;

-- name: acknowledged
-- Read what the broker last acknowledged of a shard.
select store_epoch, day, pos, sequence, stream_made_at from stream_lane where shard = $1;

-- name: save
-- Remember what the broker acknowledged, in the name of a lease; those that are not returned are lost, and nothing is written for them.
update stream_lane set store_epoch = new.store_epoch, day = new.day, pos = new.pos, sequence = new.sequence,
  stream_made_at = new.stream_made_at
from unnest($2::smallint[], $3::bigint[], $4::uuid[], $5::date[], $6::bigint[], $7::bigint[], $8::text[])
  as new (shard, epoch, store_epoch, day, pos, sequence, stream_made_at)
where stream_lane.shard = new.shard and stream_lane.epoch = new.epoch and stream_lane.owner = $1
returning stream_lane.shard;

-- name: event_at
-- Name the public event at a place of the journal.
select id, part from event where day = $1 and shard = $2 and pos = $3 and kind = 'public';

-- name: first_since
-- Find the first public row of a shard that was received since a moment: (shard, moment).
select day, pos from event
where shard = $1 and day >= (($2::timestamptz at time zone 'UTC')::date - 1) and received_at >= $2 and kind = 'public'
order by day, pos
limit 1;
