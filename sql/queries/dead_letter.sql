-- purpose: answers of receivers

-- name: add
-- Record events that were given up; the first record stays.
insert into dead_letter (endpoint, event_id, subject, shard, day, pos, at, reason, attempts)
select endpoint, event_id, subject, shard, day, pos, now(), reason, attempts
from unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::date[], $6::bigint[], $7::text[], $8::integer[])
  as new (endpoint, event_id, subject, shard, day, pos, reason, attempts)
on conflict do nothing;

-- name: page
-- List what was given up for an endpoint, newest first, behind a place in the list.
select event_id, subject, at, reason, attempts from dead_letter
where endpoint = $1 and at <= $2 and (at < $2 or event_id > $3) order by at desc, event_id limit $4;
