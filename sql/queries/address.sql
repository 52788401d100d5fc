-- name: stage
-- Make the table that a file is copied into before it is merged.
create temporary table address_staged (like address including defaults) on commit drop;

-- name: merge
-- Take the staged addresses over; the last row of an id counts, and what is the same stays untouched.
insert into address (id, house_number, repetition, street, postcode, city, citycode, lat, lon, position_kind)
select distinct on (id) id, house_number, repetition, street, postcode, city, citycode, lat, lon, position_kind
from address_staged order by id, ctid desc
on conflict (id) do update set house_number = excluded.house_number, repetition = excluded.repetition, street = excluded.street,
  postcode = excluded.postcode, city = excluded.city, citycode = excluded.citycode, lat = excluded.lat, lon = excluded.lon,
  position_kind = excluded.position_kind
where (address.house_number, address.repetition, address.street, address.postcode, address.city, address.citycode, address.lat,
  address.lon, address.position_kind) is distinct from (excluded.house_number, excluded.repetition, excluded.street, excluded.postcode,
  excluded.city, excluded.citycode, excluded.lat, excluded.lon, excluded.position_kind);

-- name: of_commune
-- Read the addresses of a commune.
select id, house_number, repetition, street, postcode, city, citycode, lat, lon, position_kind from address where citycode = $1 order by id;

-- name: merge_communes
-- Note the communes of the staged addresses, with every postcode seen in them.
insert into commune (citycode, city, postcodes)
select citycode, min(city), array_agg(distinct postcode order by postcode) from address_staged group by citycode
on conflict (citycode) do update set city = excluded.city, postcodes = array(
  select distinct code from unnest(commune.postcodes || excluded.postcodes) as code order by code);

-- name: communes
-- List the communes of which there are addresses, with their postcodes.
select citycode, city, postcodes from commune order by citycode;

-- name: for_layout
-- Read the addresses that no round of another site, and no round from a file, serves.
select id, house_number, repetition, street, postcode, city, citycode, lat, lon, position_kind from address
where not exists (
  select 1 from stop join round on round.id = stop.round_id
  where stop.delivery_point_id = address.id and (round.site <> $1 or round.source = 'file')
)
order by id;
