-- purpose: who is calling

-- name: by_api_key
-- Find the account that an API key belongs to, also a revoked one, with the scopes of the key, and the day it was last used on.
select id, kind, name, email, site, parent, scopes, revoked_at, api_key_used_on as used_on from account where api_key_sha256 = $1
union all
select account.id, account.kind, account.name, account.email, account.site, account.parent,
  array(select unnest(api_key.scopes) intersect select unnest(account.scopes)),
  coalesce(account.revoked_at, api_key.revoked_at), api_key.last_used_on
from api_key join account on account.id = api_key.account where api_key.key_sha256 = $1;

-- name: by_id
-- Find an account by its id.
select id, kind, name, email, site, parent, scopes, revoked_at from account where id = $1;

-- name: create
-- Make an account.
insert into account (id, kind, name, email, site, parent, scopes, api_key_sha256, created_at)
values ($1, $2, $3, $4, $5, $6, $7::text[], $8, now());

-- name: discard
-- Take back an account that was made in this transaction.
delete from account where id = $1;

-- name: person
-- Find the live account of a person in one role, site and parent.
select id, kind, name, email, site, parent, scopes, revoked_at from account
where kind = $1 and lower(email) = lower($2) and coalesce(site, '') = coalesce($3::text, '')
  and coalesce(parent, '') = coalesce($4::text, '') and email is not null and revoked_at is null;

-- name: was_revoked
-- Was somebody of this role and address refused, and not taken back since?
select exists (select 1 from account where kind = $1 and lower(email) = lower($2) and revoked_at is not null)
  and not exists (select 1 from account where kind = $1 and lower(email) = lower($2) and revoked_at is null);

-- name: revoke
-- Refuse an account, its persons, its sandbox and every session of theirs from now on; of a person also what they are in the sandbox.
update account set revoked_at = now()
where revoked_at is null and (id = $1 or parent = $1 or parent in (select id from account where parent = $1)
  or exists (
    select from account as person join account as sandbox on sandbox.parent = person.parent and sandbox.kind = 'subscriber'
    where person.id = $1 and account.parent = sandbox.id and account.kind = 'member' and lower(account.email) = lower(person.email)))
returning id;

-- name: names
-- Tell what these accounts are called, also revoked ones.
select id, name from account where id = any($1::text[]);

-- name: colleagues
-- List who may take an alert of a site, and operators of every one; of every site for null.
select id, kind, name, email, site from account
where kind in ('supervisor', 'operator') and revoked_at is null and ($1::text is null or site = $1 or (kind = 'operator' and site is null))
order by kind desc, name, id;

-- name: sandbox_of
-- Find the live sandbox of an account.
select id, kind, name, email, site, parent, scopes, revoked_at from account
where parent = $1 and kind = 'subscriber' and revoked_at is null order by created_at limit 1;
