-- purpose: who is calling

-- name: by_api_key
-- Find the account that an API key belongs to, also a revoked one.
select id, kind, name, email, site, parent, scopes, revoked_at from account where api_key_sha256 = $1;

-- name: by_id
-- Find an account by its id.
select id, kind, name, email, site, parent, scopes, revoked_at from account where id = $1;

-- name: create
-- Make an account.
insert into account (id, kind, name, email, site, parent, scopes, api_key_sha256, created_at)
values ($1, $2, $3, $4, $5, $6, $7::text[], $8, now());

-- name: person
-- Find the live account of a person in one role, site and parent.
select id, kind, name, email, site, parent, scopes, revoked_at from account
where kind = $1 and lower(email) = lower($2) and coalesce(site, '') = coalesce($3::text, '')
  and coalesce(parent, '') = coalesce($4::text, '') and email is not null and revoked_at is null;

-- name: revoke
-- Refuse an account, its persons and every session of theirs from now on.
update account set revoked_at = now() where (id = $1 or parent = $1) and revoked_at is null returning id;

-- name: names
-- Tell what these accounts are called, also revoked ones.
select id, name from account where id = any($1::text[]);

-- name: colleagues
-- List who may take an alert of a site, and operators of every one; of every site for null.
select id, kind, name, email, site from account
where kind in ('supervisor', 'operator') and revoked_at is null and ($1::text is null or site = $1 or (kind = 'operator' and site is null))
order by kind desc, name, id;
