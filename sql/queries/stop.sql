-- purpose: places

-- name: of_rounds
-- Read the stops of rounds, of each in planned order.
select round_id, stop_id, sequence, delivery_point_id, lat, lon, side, address, box_lat, box_lon
from stop where round_id = any($1::text[]) order by round_id, sequence, stop_id;

-- name: drop_of_rounds
-- Remove the stops of rounds, before they are read in again.
delete from stop where round_id = any($1::text[]);

-- name: addresses
-- Read where stops of a round are: (round_id, stop_ids[]).
select stop_id, address from stop where round_id = $1 and stop_id = any($2::text[]);
