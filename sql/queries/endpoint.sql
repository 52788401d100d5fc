-- purpose: operation

-- name: create
-- Make an active endpoint.
insert into endpoint (id, account, url, types, thin, created_at, mode, batch, format, filter, sites, postcodes, sealed_headers,
  rate_per_s, in_flight, on_exhausted, schedule, description)
values ($1, $2, $3, $4::text[], $5, now(), $6, $7, $8, $9::jsonb, $10::text[], $11::text[], $12, $13, $14, $15,
  $16::double precision[], $17)
returning created_at;

-- name: hold_account
-- Hold an account until the end of the transaction: whoever makes an endpoint waits here, so that the count holds.
select id from account where id = $1 for no key update;

-- name: count
-- Count an account's endpoints.
select count(*) from endpoint where account = $1;

-- name: page
-- List an account's endpoints by id, after one.
select id, account, url, types, thin, state, reason, version, created_at, mode, batch, format, filter, sites, postcodes,
  sealed_headers, rate_per_s, in_flight, on_exhausted, schedule, description, coalesce(stopped_at, resumed_at, created_at) as since from endpoint
where account = $1 and id > $2 order by id limit $3;

-- name: read
-- Find one endpoint of an account.
select id, account, url, types, thin, state, reason, version, created_at, mode, batch, format, filter, sites, postcodes,
  sealed_headers, rate_per_s, in_flight, on_exhausted, schedule, description, coalesce(stopped_at, resumed_at, created_at) as since from endpoint
where account = $1 and id = $2;

-- name: change
-- Write what may be changed of an endpoint, if it is still of the version that was read.
update endpoint set url = $4, types = $5::text[], thin = $6, mode = $7, batch = $8, format = $9, filter = $10::jsonb,
  sites = $11::text[], postcodes = $12::text[], sealed_headers = $13, rate_per_s = $14, in_flight = $15, on_exhausted = $16,
  schedule = $17::double precision[], description = $18, version = version + 1
where account = $1 and id = $2 and version = $3
returning id, account, url, types, thin, state, reason, version, created_at, mode, batch, format, filter, sites, postcodes,
  sealed_headers, rate_per_s, in_flight, on_exhausted, schedule, description, coalesce(stopped_at, resumed_at, created_at) as since;

-- name: touch
-- Tell the owner of the lane that something changed.
update endpoint set version = version + 1 where id = $1;

-- name: stop
-- Pause an active endpoint, or disable it; a stopped one keeps its first moment.
update endpoint set state = $2, reason = $3, stopped_at = coalesce(stopped_at, now()), version = version + 1
where id = $1 and state <> 'disabled';

-- name: lock
-- Hold an endpoint until the end of the transaction.
select state, stopped_at from endpoint where id = $1 for no key update;

-- name: resume
-- Make a stopped endpoint active again.
update endpoint set resumed_at = case when state = 'active' then resumed_at else now() end, state = 'active', reason = null,
  stopped_at = null, version = version + 1
where id = $1;

-- name: remove
-- Delete an endpoint and everything that waits for it.
delete from endpoint where account = $1 and id = $2;

-- name: configs
-- Read what the owners of lanes must know: the endpoints, and the rights of their accounts now.
select e.id, e.account, e.url, e.types, e.thin, e.state, e.version, a.scopes, a.revoked_at is not null as revoked,
  e.mode, e.batch, e.format, e.filter, e.sites, e.postcodes, e.sealed_headers, e.rate_per_s, e.in_flight, e.on_exhausted,
  e.schedule, e.description
from endpoint e join account a on a.id = e.account where e.id = any($1::text[]);

-- name: add_secret
-- Add a signing key.
insert into endpoint_secret (endpoint, no, sealed, created_at)
select $1, coalesce(max(no), 0) + 1, $2, now() from endpoint_secret where endpoint = $1;

-- name: expire_secrets
-- Let the keys so far sign for some seconds more.
update endpoint_secret set expires_at = least(expires_at, now() + make_interval(secs => $2)) where endpoint = $1;

-- name: trim_secrets
-- Forget keys that have expired, and all but the newest.
delete from endpoint_secret
where endpoint = $1 and (expires_at < now() or no <= (select max(no) - $2::integer from endpoint_secret where endpoint = $1));

-- name: keys
-- Tell of the live signing keys of an endpoint, newest first, since when and until when each signs.
select created_at, expires_at from endpoint_secret
where endpoint = $1 and (expires_at is null or expires_at > now()) order by no desc;

-- name: secrets
-- Read the live signing keys of an endpoint, newest first.
select no, sealed, expires_at from endpoint_secret
where endpoint = $1 and (expires_at is null or expires_at > now()) order by no desc;

-- name: postcodes
-- Find the postcode of what events are about: of the delivery point that one names, else of the newest task of its subject.
select wanted.subject, wanted.point, coalesce(address.postcode, (regexp_match(delivery_point.address, '.*\m(\d{5})\M'))[1],
  (select (regexp_match(stop.address, '.*\m(\d{5})\M'))[1] from stop where stop.delivery_point_id = place.id
    order by stop.round_id, stop.stop_id limit 1)) as postcode
from unnest($1::text[], $2::text[]) as wanted (subject, point)
cross join lateral (select coalesce(wanted.point, (select task.delivery_point from task
  where task.subject = wanted.subject and task.delivery_point is not null order by task.day desc, task.id desc limit 1)) as id) as place
left join address on address.id = place.id
left join delivery_point on delivery_point.id = place.id;

-- name: waiting
-- Read the public rows of an account behind a place of a shard, in order: positions go on from day to day.
select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
from event
where account = $1 and shard = $2 and day >= $3 and pos > $4 and kind = 'public'
order by pos limit $5;

-- name: oldest_parked
-- When was the oldest event received at which a parked subject stands? Of the first thousand by place.
select min(event.received_at) from (
  select day, shard, pos from parked where endpoint = $1 order by day, pos limit 1000) as head
join event on event.day = head.day and event.shard = head.shard and event.pos = head.pos;

-- name: failing
-- List the endpoints that somebody should look at, the longest first: stopped ones, those whose breaker is open, and those with parked subjects.
select e.id as endpoint_id, e.account,
  case when e.state <> 'active' then e.state when lane.opened_at is not null then 'open' else 'failing' end as state,
  coalesce(e.stopped_at, lane.failing_since, lane.opened_at, waiting.since) as since, coalesce(e.reason, waiting.reason) as why
from endpoint as e join lane on lane.endpoint = e.id
left join lateral (
  select min(parked.since) as since, min(parked.reason) as reason from parked where parked.endpoint = e.id
) as waiting on true
where e.state <> 'active' or lane.opened_at is not null or lane.failing_since is not null or waiting.since is not null
order by since, e.id limit $1;
