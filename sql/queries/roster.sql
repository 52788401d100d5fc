-- purpose: planning of work

-- name: put
-- Take roster rows over; a row of the same day and round is replaced, and keeps its start where none is said.
insert into roster (day, round_id, carrier, qualifications, starts_at)
select day, round_id, carrier, array_remove(string_to_array(qualifications, ' '), ''), starts_at
from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::time[]) as new (day, round_id, carrier, qualifications, starts_at)
on conflict (day, round_id) do update set carrier = excluded.carrier, qualifications = excluded.qualifications,
  starts_at = coalesce(excluded.starts_at, roster.starts_at)
where (roster.carrier, roster.qualifications, roster.starts_at) is distinct from
  (excluded.carrier, excluded.qualifications, coalesce(excluded.starts_at, roster.starts_at));

-- name: put_carriers
-- Take carriers of a site over with their qualifications: (site, carriers, qualifications).
insert into carrier_of_site (site, carrier, qualifications)
select $1, carrier, array_remove(string_to_array(qualifications, ' '), '')
from unnest($2::text[], $3::text[]) as new (carrier, qualifications)
on conflict (site, carrier) do update set qualifications = excluded.qualifications;

-- name: absent
-- Note that carriers are away on days: (days, sites, carriers, kinds).
insert into absence (day, site, carrier, kind)
select day, site, carrier, kind from unnest($1::date[], $2::text[], $3::text[], $4::text[]) as new (day, site, carrier, kind)
on conflict (day, site, carrier) do update set kind = excluded.kind;

-- name: present
-- Note that carriers are there on days: (days, sites, carriers).
delete from absence using unnest($1::date[], $2::text[], $3::text[]) as new (day, site, carrier)
where absence.day = new.day and absence.site = new.site and absence.carrier = new.carrier;

-- name: set_usual_start
-- Set the local time at which the runs of a site usually start: (site, starts_at).
update site set starts_at = $2 where id = $1;

-- name: usual_start
-- Read the local time at which the runs of a site usually start.
select starts_at from site where id = $1;

-- name: page
-- Page through the roster of a site between two days, or of all: (site, from, until, after_day, after_round, limit).
select roster.day, roster.round_id, round.site, roster.carrier, roster.qualifications, roster.starts_at, absence.kind as absence
from roster join round on round.id = roster.round_id
left join absence on absence.day = roster.day and absence.site = round.site and absence.carrier = roster.carrier
where roster.day between $2 and $3 and ($1::text is null or round.site = $1) and (roster.day, roster.round_id) > ($4::date, $5::text)
order by roster.day, roster.round_id
limit $6;

-- name: carriers
-- List the carriers that a site knows (null: all sites): its own list, its phones, and its rosters from a day on.
select known.site, known.carrier, coalesce(own.qualifications, '{}') as qualifications
from (
  select site, carrier from carrier_of_site where $1::text is null or site = $1
  union
  select site, carrier from device where revoked_at is null and ($1::text is null or site = $1)
  union
  select round.site, roster.carrier from roster join round on round.id = roster.round_id
  where roster.day >= $2 and roster.carrier is not null and ($1::text is null or round.site = $1)
) as known
left join carrier_of_site as own on own.site = known.site and own.carrier = known.carrier
order by known.site, known.carrier;

-- name: absences
-- List who is away between two days, of a site or of all: (site, from, until).
select day, site, carrier, kind from absence
where day between $2 and $3 and ($1::text is null or site = $1) order by day, site, carrier;

-- name: sites_of_rounds
-- Which site do these rounds belong to?
select id, site from round where id = any($1::text[]);

-- name: rounds_of
-- Which rounds does this carrier walk on this day, or this device without a roster? Its own round first, ended runs last.
with walked as (
  select roster.round_id from roster where roster.day = $1 and roster.carrier = $2
  union
  select round.id from round where round.id = $3::text
    and not exists (select 1 from roster where roster.day = $1 and roster.round_id = $3::text)
    and not exists (select 1 from roster where roster.day = $1 and roster.carrier = $2)
)
select walked.round_id from walked
join round on round.id = walked.round_id and (round.site = $4 or round.id = $3::text)
left join run on run.day = $1 and run.round_id = walked.round_id
where not exists (select 1 from absence where absence.day = $1 and absence.site = round.site and absence.carrier = $2)
order by coalesce(run.state, 'planned') = 'ended', coalesce(run.state, 'planned') = 'planned',
  walked.round_id is distinct from $3::text, walked.round_id;

-- name: forget_before
-- Forget who was away before a day.
delete from absence where day < $1;

-- name: forget_moves_before
-- Forget which stops moved between the runs of days before this one.
delete from stop_move where day < $1;
