-- name: live
-- Find the live keys of persons.
select person, key_id, wrapped from person_key where person = any($1::text[]) and destroyed_at is null;

-- name: add
-- Keep new keys, unless another writer was first; return those kept.
insert into person_key (person, key_id, wrapped)
select person, key_id, wrapped from unnest($1::text[], $2::uuid[], $3::bytea[]) as new (person, key_id, wrapped)
on conflict (person) where destroyed_at is null do nothing
returning key_id;

-- name: by_ids
-- Find keys by their ids, also destroyed ones.
select person, key_id, wrapped from person_key where key_id = any($1::uuid[]);

-- name: destroy
-- Destroy every key of a person: what was sealed with them can never be read again.
update person_key set wrapped = null, destroyed_at = now() where person = $1 and destroyed_at is null;
