-- purpose: answers of receivers

-- name: add
-- Record events that were given up; the first record stays.
insert into dead_letter (endpoint, event_id, subject, shard, day, pos, at, reason, attempts)
select endpoint, event_id, subject, shard, day, pos, now(), reason, attempts
from unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::date[], $6::bigint[], $7::text[], $8::integer[])
  as new (endpoint, event_id, subject, shard, day, pos, reason, attempts)
on conflict do nothing;
