-- purpose: who is calling

-- name: add_link
-- Keep a sign-in link by its hash.
insert into sign_in (token_sha256, account, reusable, expires_at) values ($1, $2, $3, $4);

-- name: open_link
-- Find whose link this is, while it can be used.
select sign_in.reusable, account.id, account.kind, account.name, account.email, account.site, account.parent, account.scopes,
  account.revoked_at
from sign_in join account on account.id = sign_in.account
where sign_in.token_sha256 = $1 and account.revoked_at is null
  and (sign_in.reusable or (sign_in.used_at is null and sign_in.expires_at > now()));

-- name: use_link
-- Use a link up, unless someone else just did.
update sign_in set used_at = now()
where token_sha256 = $1 and (reusable or (used_at is null and expires_at > now()))
returning account;

-- name: withdraw_reusable
-- Withdraw every link that could be used again.
delete from sign_in where reusable;

-- name: start
-- Start a session of an account that is not revoked.
insert into session (token_sha256, account, created_at, expires_at)
select $1, id, now(), $3 from account where id = $2 and revoked_at is null
returning account;

-- name: begin
-- Start a session of somebody who has proved who they are: (session, account, expires_at, acr, proved_at, sealed).
insert into session (token_sha256, account, created_at, expires_at, acr, proved_at, sealed)
select $1, id, now(), $3, $4, $5, $6 from account where id = $2 and revoked_at is null
returning account;

-- name: sealed
-- Read what a session keeps for the provider that it came from.
select sealed from session where token_sha256 = $1 and ended_at is null;

-- name: find
-- Find the person of a live session.
select account.id, account.kind, account.name, account.email, account.site, account.parent, account.scopes, account.revoked_at,
  session.acr, session.proved_at, customer.sealed, organisation.name as organisation, organisation.site as organisation_site
from session join account on account.id = session.account left join customer on customer.account = account.id
  left join account as organisation on organisation.id = account.parent
where session.token_sha256 = $1 and session.ended_at is null and session.expires_at > now() and account.revoked_at is null;

-- name: finish
-- End one session.
update session set ended_at = now() where token_sha256 = $1 and ended_at is null;

-- name: forget_old
-- Delete sessions and links that ended more than a day ago.
with old_sessions as (delete from session where expires_at < now() - interval '1 day')
delete from sign_in where expires_at < now() - interval '1 day';
