-- purpose: answers of receivers

-- name: add
-- Log attempts.
insert into attempt (day, endpoint, event_id, n, at, status, ms, error, body_4k)
select (at at time zone 'UTC')::date, endpoint, event_id, n, at, status, ms, error, body
from unnest($1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::smallint[], $6::integer[], $7::text[], $8::bytea[])
  as new (endpoint, event_id, n, at, status, ms, error, body);

-- name: page
-- List an endpoint's attempts, newest first, before a place in the list.
select event_id, n, at, status, ms, error, body_4k from attempt
where endpoint = $1 and day <= ($2::timestamptz at time zone 'UTC')::date
  and (at < $2 or (at = $2 and (event_id, n) > ($3::text, $4::integer)))
  and ($5::text is null or event_id = $5)
order by at desc, event_id, n limit $6;

-- name: make_days
-- Make the partitions of the days to come.
select make_attempt_days($1, $2);

-- name: drop_days
-- Drop the partitions before a day.
select drop_attempt_days($1);
