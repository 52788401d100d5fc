-- purpose: places

-- name: create
-- Make a site, unless it exists.
insert into site (id, created_at) values ($1, now()) on conflict do nothing returning id;

-- name: exists
-- Is there such a site?
select exists (select 1 from site where id = $1);
