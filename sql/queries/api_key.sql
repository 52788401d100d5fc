-- purpose: who is calling

-- name: create
-- Keep a new key by its hash, unless the account has its most: (id, account, name, hash, scopes, made by, most).
insert into api_key (id, account, name, key_sha256, scopes, created_by, created_at)
select $1, $2, $3, $4, $5::text[], $6, now()
where (select count(*) from api_key where account = $2 and revoked_at is null) < $7
returning id;

-- name: of_account
-- List the keys of an account that live, or were revoked lately, newest first; the one that it was made with is `first`.
select id, name, scopes, created_at, last_used_on, revoked_at from api_key
where account = $1 and (revoked_at is null or revoked_at > now() - interval '30 days')
union all
select 'first', name, scopes, created_at, api_key_used_on, null from account where id = $1 and api_key_sha256 is not null
order by created_at desc, id;

-- name: revoke
-- Refuse one key of an account from now on.
update api_key set revoked_at = now() where account = $1 and id = $2 and revoked_at is null returning id;

-- name: revoke_first
-- Refuse the key that an account was made with.
update account set api_key_sha256 = null where id = $1 and api_key_sha256 is not null returning id;

-- name: used
-- Note the day on which a key was used, once a day: (hash, today).
with other as (
  update api_key set last_used_on = $2 where key_sha256 = $1 and last_used_on is distinct from $2
)
update account set api_key_used_on = $2 where api_key_sha256 = $1 and api_key_used_on is distinct from $2;

-- name: forget_revoked
-- Forget the keys that were revoked before a moment.
delete from api_key where revoked_at < $1;
