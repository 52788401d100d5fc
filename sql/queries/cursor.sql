-- purpose: operation

-- name: start
-- Set where a new endpoint starts.
insert into cursor (endpoint, shard, day, pos)
select $1, shard, day, pos from unnest($2::smallint[], $3::date[], $4::bigint[]) as start (shard, day, pos);

-- name: read
-- Read an endpoint's cursor of every shard.
select shard, day, pos from cursor where endpoint = $1 order by shard;

-- name: move
-- Move cursors forward in the name of a lane's epoch; a stale epoch moves nothing.
update cursor set day = new.day, pos = new.pos
from unnest($1::text[], $2::bigint[], $3::smallint[], $4::date[], $5::bigint[]) as new (endpoint, epoch, shard, day, pos)
join lane on lane.endpoint = new.endpoint and lane.epoch = new.epoch
where cursor.endpoint = new.endpoint and cursor.shard = new.shard
  and (cursor.day, cursor.pos) < (new.day, new.pos);
