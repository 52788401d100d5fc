-- purpose: orders

-- name: live
-- Find the live keys of persons, and since when an earlier one is erased: (persons, their digests).
select wanted.person, live.key_id, live.wrapped, gone.at as erased_at
from unnest($1::text[], $2::bytea[]) as wanted (person, digest)
left join person_key as live on live.person = wanted.person and live.destroyed_at is null
left join lateral (select max(erasure.at) as at from erasure where erasure.digest = wanted.digest) as gone on true;

-- name: add
-- Keep new keys, unless another writer was first; return those kept.
insert into person_key (person, key_id, wrapped)
select person, key_id, wrapped from unnest($1::text[], $2::uuid[], $3::bytea[]) as new (person, key_id, wrapped)
on conflict (person) where destroyed_at is null do nothing
returning key_id;

-- name: by_ids
-- Find keys by their ids, also destroyed ones.
select person, key_id, wrapped from person_key where key_id = any($1::uuid[]);
