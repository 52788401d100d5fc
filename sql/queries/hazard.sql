-- purpose: rounds

-- name: save
-- Note a hazard as it is decided: (id, kind, state, site, lat, lon, radius_m, west, south, east, north, until, reported_at, sealed). Sheets that may show it, or did, get a new version.
with places as (
  select box(point($8::double precision, $9::double precision), point($10::double precision, $11::double precision)) as area
  where $3::text = 'confirmed'
  union all
  select hazard.area from hazard where hazard.id = $1 and hazard.state = 'confirmed'
), raised as (
  update run set version = run.version + 1
  from round
  where round.id = run.round_id and run.day >= (now() at time zone 'UTC')::date - 1
    and exists (select 1 from places where round.area is null or round.area && places.area)
)
insert into hazard (id, kind, state, site, lat, lon, radius_m, area, until, reported_at, sealed)
values ($1, $2, $3, $4, $5, $6, $7,
  box(point($8::double precision, $9::double precision), point($10::double precision, $11::double precision)),
  $12::timestamptz, $13::timestamptz, $14::bytea)
on conflict (id) do update set kind = excluded.kind, state = excluded.state, site = excluded.site, lat = excluded.lat,
  lon = excluded.lon, radius_m = excluded.radius_m, area = excluded.area, until = excluded.until,
  reported_at = excluded.reported_at, sealed = excluded.sealed;

-- name: forget
-- Forget a hazard that never was. Sheets that showed it get a new version.
with gone as (
  delete from hazard where id = $1 returning state, area
)
update run set version = run.version + 1
from round, gone
where gone.state = 'confirmed' and round.id = run.round_id and run.day >= (now() at time zone 'UTC')::date - 1
  and (round.area is null or round.area && gone.area);

-- name: near_round
-- Read the confirmed hazards that may cross a round, the oldest first.
select hazard.id, hazard.kind, hazard.state, hazard.site, hazard.lat, hazard.lon, hazard.radius_m, hazard.until,
  hazard.reported_at, hazard.sealed
from hazard join round on round.area is null or round.area && hazard.area
where round.id = $1 and hazard.state = 'confirmed'
order by hazard.reported_at, hazard.id;

-- name: page
-- List hazards of a site (null: of all), newest first, before a place in the list; $2: only those that have not ended.
select id, kind, state, site, lat, lon, radius_m, until, reported_at, sealed
from hazard
where ($1::text is null or site = $1) and (not $2::boolean or state <> 'ended')
  and (reported_at, id) < ($3::timestamptz, $4::text)
order by reported_at desc, id desc
limit $5;

-- name: forget_before
-- Forget the hazards that ended before a day.
delete from hazard where state = 'ended' and until < $1::date;
