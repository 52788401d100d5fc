-- purpose: places

-- name: begin
-- Begin to learn from a day on, in the shards that nobody has learned from: (shard[], day).
insert into delivery_point_cursor (shard, day, pos) select shard, $2, 0 from unnest($1::smallint[]) as shard on conflict do nothing;

-- name: cursors
-- Read how far each shard has been learned.
select shard, day, pos from delivery_point_cursor order by shard;

-- name: events_after
-- Read field events of a shard behind a position, in order: (shard, day, pos, types, limit). Of other types nothing is read.
select day, pos, id, type, run, occurred_at, received_at, public
from (
  (
    select day, pos, id, type, run, occurred_at, received_at, case when type = any($4::text[]) then public end as public
    from event
    where shard = $1 and day = $2 and pos > $3 and kind = 'field'
    order by pos
    limit $5
  )
  union all
  (
    select day, pos, id, type, run, occurred_at, received_at, case when type = any($4::text[]) then public end as public
    from event
    where shard = $1 and day > $2 and kind = 'field'
    order by day, pos
    limit $5
  )
) as behind
order by day, pos
limit $5;

-- name: lock
-- Let one learn at a time, and read how far each shard has been learned by then.
select shard, day, pos from delivery_point_cursor order by shard for update;

-- name: move
-- Move the cursors of shards: (shard[], day[], pos[]).
update delivery_point_cursor as cursor set day = new.day, pos = new.pos
from unnest($1::smallint[], $2::date[], $3::bigint[]) as new (shard, day, pos) where cursor.shard = new.shard;

-- name: of_points
-- Read what is remembered of delivery points.
select delivery_point_id, door, box, moved_on, served_on
from delivery_point_memory where delivery_point_id = any($1::text[]);

-- name: put
-- Write what is remembered of a delivery point: (id, door, box, moved_on, served_on, last_served_on).
insert into delivery_point_memory (delivery_point_id, door, box, moved_on, served_on, last_served_on)
values ($1, $2, $3, $4, $5, $6)
on conflict (delivery_point_id) do update set door = excluded.door, box = excluded.box, moved_on = excluded.moved_on,
  served_on = excluded.served_on, last_served_on = excluded.last_served_on;

-- name: of_rounds
-- Read what is remembered of the points that rounds serve.
select stop.round_id, stop.stop_id, memory.door, memory.box
from stop join delivery_point_memory as memory on memory.delivery_point_id = stop.delivery_point_id
where stop.round_id = any($1::text[]) and (memory.door is not null or memory.box is not null);

-- name: page
-- Page through what is remembered at a site or at all: (site, after, only moved, only not served since, and on so many days, limit).
select memory.delivery_point_id, memory.door, memory.box, memory.served_on,
  at.round_id, at.stop_id, at.address, at.lat, at.lon, at.box_lat, at.box_lon
from delivery_point_memory as memory
cross join lateral (
  select stop.round_id, stop.stop_id, stop.address, stop.lat, stop.lon, stop.box_lat, stop.box_lon
  from stop join round on round.id = stop.round_id
  where stop.delivery_point_id = memory.delivery_point_id and ($1::text is null or round.site = $1)
  order by stop.round_id, stop.sequence limit 1
) as at
where memory.delivery_point_id > $2 and (not $3 or memory.moved_on is not null)
  and ($4::date is null or (memory.last_served_on < $4 and cardinality(memory.served_on) >= $5))
order by memory.delivery_point_id
limit $6;

-- name: neighbours
-- Read when the points within six stops of each of these were last served: (round_id[], stop_id[]).
select mine.round_id, mine.stop_id, memory.last_served_on
from unnest($1::text[], $2::text[]) as wanted (round_id, stop_id)
join stop as mine on mine.round_id = wanted.round_id and mine.stop_id = wanted.stop_id
join stop as other on other.round_id = mine.round_id and other.stop_id <> mine.stop_id
  and other.delivery_point_id <> mine.delivery_point_id
  and other.sequence between mine.sequence - 6 and mine.sequence + 6
join delivery_point_memory as memory on memory.delivery_point_id = other.delivery_point_id;

-- name: forget
-- Forget the points that no stop serves and that were not served since a day.
delete from delivery_point_memory as memory
where memory.last_served_on < $1
  and not exists (select 1 from stop where stop.delivery_point_id = memory.delivery_point_id);
