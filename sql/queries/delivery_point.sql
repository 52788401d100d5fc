-- purpose: places

-- name: exists
-- Is there such a delivery point?
select exists (select 1 from delivery_point where id = $1);

-- name: site_of
-- Whose round serves this point?
select round.site from round where round.id = coalesce(
  (select stop.round_id from stop where stop.delivery_point_id = $1 order by stop.round_id limit 1),
  (select delivery_point.round_id from delivery_point where delivery_point.id = $1));

-- name: from_stops
-- Make or move the delivery points that the stops of these rounds serve.
insert into delivery_point (id, address, lat, lon)
select distinct on (delivery_point_id) delivery_point_id, address, coalesce(box_lat, lat), coalesce(box_lon, lon)
from stop where round_id = any($1::text[]) order by delivery_point_id, round_id, sequence
on conflict (id) do update set address = coalesce(excluded.address, delivery_point.address), lat = excluded.lat, lon = excluded.lon
where (delivery_point.address, delivery_point.lat, delivery_point.lon)
  is distinct from (coalesce(excluded.address, delivery_point.address), excluded.lat, excluded.lon);

-- name: add_placed
-- Make a point that was found by its address and lies on a round without a stop of its own.
insert into delivery_point (id, address, lat, lon, round_id) values ($1, $2, $3, $4, $5)
on conflict (id) do update set round_id = coalesce(delivery_point.round_id, excluded.round_id);

-- name: set_class
-- Note what became of a delivery point: (delivery_point_id, class, at). Nothing for an unknown one.
update delivery_point set class = $2, class_at = $3::timestamptz where id = $1;

-- name: place
-- Make a point be where a decision wants it, or put it back: (delivery_point_id, mark, place, from_day). In the decision's commit.
select place_point($1, $2, $3::jsonb, $4::text::date);

-- name: settle_moved
-- After an import of these rounds: moves that the plan now has itself are over, the others are done again.
select settle_moved_points($1::text[]);
