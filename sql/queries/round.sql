-- purpose: places

-- name: read
-- Read rounds.
select id, site, mode, name, line, version from round where id = any($1::text[]);

-- name: versions
-- Read the versions of rounds.
select id, version from round where id = any($1::text[]);

-- name: all_ids
-- List every round.
select id from round order by id;

-- name: taken_by_others
-- Which of these ids belong to rounds that a layout of this site may not replace?
select id from round where id = any($1::text[]) and (site <> $2 or source = 'file');

-- name: digests
-- Read the digests of rounds that exist.
select id, digest from round where id = any($1::text[]);

-- name: put
-- Insert or replace rounds; each replacement counts their version up.
insert into round (id, site, mode, name, line, source, digest, changed_at) values ($1, $2, $3, $4, $5, $6, $7, now())
on conflict (id) do update set site = excluded.site, mode = excluded.mode, name = excluded.name, line = excluded.line,
  source = excluded.source, digest = excluded.digest, version = round.version + 1, changed_at = now();

-- name: drop_layout
-- Remove the rounds of a site that an earlier layout made and this one did not.
delete from round where site = $1 and source = 'layout' and not (id = any($2::text[]));

-- name: sites
-- Make the sites that rounds name, unless they exist.
insert into site (id, created_at) select id, now() from unnest($1::text[]) as id on conflict do nothing;

-- name: mark
-- Sum up all rounds in a number that changes whenever one is imported, changed or removed.
select coalesce(sum(hashtext(id || ' ' || version || ' ' || encode(digest, 'hex'))::bigint), 0) + count(*) from round;
