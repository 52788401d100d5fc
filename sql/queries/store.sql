-- name: install
-- Make the store's identity and keys, once.
insert into store (epoch, content_key, signing_key, signing_public, installed_at)
values ($1, $2, $3, $4, now())
on conflict (only_row) do nothing;

-- name: read
-- Read the store's identity and wrapped keys.
select epoch, content_key, signing_key, signing_public from store;
