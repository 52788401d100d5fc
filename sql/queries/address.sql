-- purpose: places

-- name: lock_imports
-- Wait until no other import of addresses runs; held until the transaction ends.
select pg_advisory_xact_lock($1);

-- name: stage
-- Make the table that a file is copied into before it is merged.
create temporary table address_staged (like address including defaults) on commit drop;

-- name: index_staged
-- Let staged addresses be found by id.
create index address_staged_by_id on address_staged (id);

-- name: remove_replaced
-- Remove what a file no longer has, in communes of which it has at least half as many addresses as are known.
with brought as (
  select citycode, count(distinct id) as addresses from address_staged group by citycode
), known as (
  select brought.citycode, brought.addresses, (select count(*) from address where address.citycode = brought.citycode) as before
  from brought
), replaced as (
  select citycode from known where 2 * addresses >= before
)
delete from address using replaced
where address.citycode = replaced.citycode and not exists (select 1 from address_staged where address_staged.id = address.id);

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

-- name: kept_beside
-- Count the addresses that the communes of a file have beside it.
select (select count(*) from address where address.citycode = any(array(select distinct citycode from address_staged)))
  - (select count(distinct id) from address_staged);

-- name: merge_communes
-- Note the communes of the staged addresses, with every postcode that their addresses have now.
insert into commune (citycode, city, postcodes, changed_at)
select citycode, min(city), array_agg(distinct postcode order by postcode), clock_timestamp() from address
where citycode = any(array(select distinct citycode from address_staged)) group by citycode
on conflict (citycode) do update
set city = excluded.city, postcodes = excluded.postcodes, changed_at = excluded.changed_at;

-- name: forget_empty_communes
-- Forget communes of which no address is left: they became part of another.
delete from commune where not exists (select 1 from address where address.citycode = commune.citycode);

-- name: communes
-- List the communes of which there are addresses, with their postcodes.
select citycode, city, postcodes from commune order by citycode;

-- name: mark
-- Tell what changes whenever an import changed addresses.
select count(*) as communes, max(changed_at) as changed_at from commune;

-- name: streets_of
-- List the streets of communes as they are written, each with its middle and the first of its addresses.
select citycode, postcode, street, min(city) as city, count(*) as addresses, avg(lat) as lat, avg(lon) as lon, min(id collate "C") as first_id
from address where citycode = any($1::text[]) group by citycode, postcode, street;

-- name: numbers_of
-- Read the addresses of streets, named by commune, postcode and label as it is written.
select address.id, house_number, repetition, street, postcode, city, citycode, lat, lon, position_kind
from unnest($1::text[], $2::text[], $3::text[]) as wanted (citycode, postcode, street)
join address using (citycode, postcode, street);

-- name: in_box
-- Read the addresses between two latitudes and two longitudes.
select id, house_number, repetition, street, postcode, city, citycode, lat, lon, position_kind from address
where lat between $1 and $2 and lon between $3 and $4;

-- name: for_layout
-- Read the addresses that no round of another site, and no round from a file, serves.
select id, house_number, repetition, street, postcode, city, citycode, lat, lon, position_kind from address
where not exists (
  select 1 from stop join round on round.id = stop.round_id
  where stop.delivery_point_id = address.id and (round.site <> $1 or round.source = 'file')
)
order by id;
