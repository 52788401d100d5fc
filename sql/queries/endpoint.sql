-- purpose: operation

-- name: create
-- Make an active endpoint.
insert into endpoint (id, account, url, types, thin, created_at) values ($1, $2, $3, $4::text[], $5, now())
returning created_at;

-- name: page
-- List an account's endpoints by id, after one.
select id, account, url, types, thin, state, reason, version, created_at from endpoint
where account = $1 and id > $2 order by id limit $3;

-- name: read
-- Find one endpoint of an account.
select id, account, url, types, thin, state, reason, version, created_at from endpoint where account = $1 and id = $2;

-- name: change
-- Change what is given of an endpoint; null leaves it.
update endpoint set url = coalesce($3::text, url), types = coalesce($4::text[], types), thin = coalesce($5::boolean, thin),
  version = version + 1
where account = $1 and id = $2
returning id, account, url, types, thin, state, reason, version, created_at;

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
update endpoint set state = 'active', reason = null, stopped_at = null, version = version + 1 where id = $1;

-- name: remove
-- Delete an endpoint and everything that waits for it.
delete from endpoint where account = $1 and id = $2;

-- name: configs
-- Read what the owners of lanes must know: the endpoints, and the rights of their accounts now.
select e.id, e.account, e.url, e.types, e.thin, e.state, e.version, a.scopes, a.revoked_at is not null as revoked
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

-- name: secrets
-- Read the live signing keys of an endpoint, newest first.
select no, sealed, expires_at from endpoint_secret
where endpoint = $1 and (expires_at is null or expires_at > now()) order by no desc;
