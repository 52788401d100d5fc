-- purpose: operation

-- name: add
-- Give a new endpoint its lane, free.
insert into lane (endpoint, leased_until) values ($1, now());

-- name: claim
-- Take free lanes of active endpoints for an owner, each with its next epoch.
update lane set owner = $1, epoch = lane.epoch + 1, leased_until = now() + make_interval(secs => $2)
from (
  select l.endpoint from lane l join endpoint e on e.id = l.endpoint join account a on a.id = e.account
  where l.leased_until <= now() and e.state = 'active' and a.revoked_at is null
  order by l.leased_until limit $3 for update of l skip locked
) free
where lane.endpoint = free.endpoint
returning lane.endpoint, lane.epoch, lane.opened_at, lane.probe_at, lane.step, lane.held_until,
  lane.failing_since, lane.last_failed_at, lane.warned;

-- name: renew
-- Keep lanes; those that are not returned are lost.
update lane set leased_until = now() + make_interval(secs => $4)
from unnest($2::text[], $3::bigint[]) as mine (endpoint, epoch)
where lane.endpoint = mine.endpoint and lane.epoch = mine.epoch and lane.owner = $1
returning lane.endpoint;

-- name: release
-- Give lanes up, so that another owner may take them after some seconds.
update lane set owner = null, leased_until = now() + make_interval(secs => $4)
from unnest($2::text[], $3::bigint[]) as mine (endpoint, epoch)
where lane.endpoint = mine.endpoint and lane.epoch = mine.epoch and lane.owner = $1;

-- name: hold
-- Hold the lanes that are still this owner's until the end of the transaction.
select lane.endpoint from lane join unnest($2::text[], $3::bigint[]) as mine (endpoint, epoch)
  on lane.endpoint = mine.endpoint and lane.epoch = mine.epoch
where lane.owner = $1 order by lane.endpoint for share of lane;

-- name: hold_epoch
-- Hold a lane until the end of the transaction, if an epoch of it is still valid.
select endpoint from lane where endpoint = $1 and epoch = $2 for share;

-- name: save_breakers
-- Remember the state of breakers, and for how long endpoints have failed.
update lane set opened_at = new.opened_at, probe_at = new.probe_at, step = new.step, held_until = new.held_until,
  failing_since = new.failing_since, last_failed_at = new.last_failed_at, warned = new.warned
from unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::integer[], $6::timestamptz[],
  $7::timestamptz[], $8::timestamptz[], $9::smallint[])
  as new (endpoint, epoch, opened_at, probe_at, step, held_until, failing_since, last_failed_at, warned)
where lane.endpoint = new.endpoint and lane.epoch = new.epoch;

-- name: rest
-- Forget breaker and outage of an endpoint that a person resumed, in place of the owner of its lane; return when it had opened.
update lane set epoch = lane.epoch + 1, owner = null, opened_at = null, probe_at = null, step = 0, held_until = null,
  failing_since = null, last_failed_at = null, warned = 0
from (select endpoint, opened_at from lane where endpoint = $1 for no key update) was
where lane.endpoint = was.endpoint
returning was.opened_at;

-- name: remove
-- Delete a lane, before its endpoint: its owner finds that it is lost.
delete from lane using endpoint e where lane.endpoint = e.id and e.account = $1 and e.id = $2;

-- name: health
-- Tell how an endpoint is doing.
select lane.opened_at, lane.probe_at, lane.held_until, lane.failing_since, lane.last_failed_at,
  (select count(*) from parked where parked.endpoint = lane.endpoint) as parked,
  (select count(*) from dead_letter where dead_letter.endpoint = lane.endpoint) as dead_letters
from lane where lane.endpoint = $1;
