-- purpose: operation

-- name: install
-- Make the store's identity and keys, once.
insert into store (epoch, content_key, signing_key, signing_public, installed_at)
values ($1, $2, $3, $4, now())
on conflict (only_row) do nothing;

-- name: read
-- Read the store's identity and wrapped keys.
select epoch, content_key, signing_key, signing_public from store;

-- name: found_elsewhere
-- Note where the store runs; if that was elsewhere, it was restored there and gets a new epoch: (place, epoch). Return whether.
with moved as (
  update store set place = $1, epoch = case when place is null then epoch else $2::uuid end
  from (select place as was from store) as before
  where store.place is distinct from $1
  returning before.was is not null as restored
)
select coalesce((select restored from moved), false) as restored;

-- name: place
-- Name the cluster and the database that this is.
select system_identifier::text || '/' || (select oid from pg_database where datname = current_database())::text as place
from pg_control_system();

-- name: erasures_written
-- Read how many lines the file of erasures had, and how the last ended, when this store last wrote to it.
select erasures_written, erasures_mac from store;

-- name: write_erasures
-- Note how many lines the file of erasures has, and how the last ends: (how many, MAC).
update store set erasures_written = $1, erasures_mac = $2
where (erasures_written, erasures_mac) is distinct from ($1::bigint, $2::bytea);

-- name: renew
-- Give the store a new epoch: what phones think is stored may not be, so they send it again.
update store set epoch = $1;
