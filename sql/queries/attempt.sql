-- purpose: answers of receivers

-- name: page
-- List an endpoint's attempts of a time, newest first, behind a place in the list.
select event_id, n, at, status, ms, error, body_4k, subject, replay, coalesce(cardinality(event_ids), 1) as events, repeats,
  coalesce(event_ids, '{}') as event_ids
from attempt
where endpoint = $1 and day between ($2::timestamptz at time zone 'UTC')::date and ($3::timestamptz at time zone 'UTC')::date
  and at >= $2 and at <= $3 and (at < $3 or (event_id, n) > ($4::text, $5::integer))
  and ($7::smallint is null or status between $7 and $8::smallint)
  and (not $9::boolean or status is null or status not between 200 and 299)
  and ($10::text is null or event_id = $10)
  and ($11::text is null or subject = $11)
  and ($12::text is null or replay = $12)
order by at desc, event_id, n limit $6;

-- name: failed
-- List those that failed.
select event_id, n, at, status, ms, error, body_4k, subject, replay, coalesce(cardinality(event_ids), 1) as events, repeats,
  coalesce(event_ids, '{}') as event_ids
from attempt
where endpoint = $1
  and (status is null or status not between 200 and 299)
  and day between ($2::timestamptz at time zone 'UTC')::date and ($3::timestamptz at time zone 'UTC')::date
  and at >= $2 and at <= $3 and (at < $3 or (event_id, n) > ($4::text, $5::integer))
  and ($7::smallint is null or status between $7 and $8::smallint)
  and (not $9::boolean or status is null or status not between 200 and 299)
  and ($10::text is null or event_id = $10)
  and ($11::text is null or subject = $11)
  and ($12::text is null or replay = $12)
order by at desc, event_id, n limit $6;

-- name: of_subject
-- List those on events of a subject.
select event_id, n, at, status, ms, error, body_4k, subject, replay, coalesce(cardinality(event_ids), 1) as events, repeats,
  coalesce(event_ids, '{}') as event_ids
from attempt
where endpoint = $1
  and subject = $11
  and day between ($2::timestamptz at time zone 'UTC')::date and ($3::timestamptz at time zone 'UTC')::date
  and at >= $2 and at <= $3 and (at < $3 or (event_id, n) > ($4::text, $5::integer))
  and ($7::smallint is null or status between $7 and $8::smallint)
  and (not $9::boolean or status is null or status not between 200 and 299)
  and ($10::text is null or event_id = $10)
  and ($12::text is null or replay = $12)
order by at desc, event_id, n limit $6;

-- name: of_replay
-- List those of a replay.
select event_id, n, at, status, ms, error, body_4k, subject, replay, coalesce(cardinality(event_ids), 1) as events, repeats,
  coalesce(event_ids, '{}') as event_ids
from attempt
where endpoint = $1
  and replay = $12
  and day between ($2::timestamptz at time zone 'UTC')::date and ($3::timestamptz at time zone 'UTC')::date
  and at >= $2 and at <= $3 and (at < $3 or (event_id, n) > ($4::text, $5::integer))
  and ($7::smallint is null or status between $7 and $8::smallint)
  and (not $9::boolean or status is null or status not between 200 and 299)
  and ($10::text is null or event_id = $10)
  and ($11::text is null or subject = $11)
order by at desc, event_id, n limit $6;

-- name: of_event
-- List those on an event: alone, or in a batch.
select event_id, n, at, status, ms, error, body_4k, subject, replay, coalesce(cardinality(event_ids), 1) as events, repeats,
  coalesce(event_ids, '{}') as event_ids
from (
  select attempt.endpoint, attempt.day, attempt.event_id, n, at, status, ms, error, body_4k, subject, replay, event_ids, repeats
  from attempt where event_id = $10::text
  union all
  select attempt.endpoint, attempt.day, attempt.event_id, attempt.n, attempt.at, status, ms, error, body_4k, subject, replay,
    event_ids, repeats
  from batches_with($1, $10) as batch
  join attempt on attempt.day = batch.day and attempt.event_id = batch.event_id and attempt.n = batch.n and attempt.at = batch.at
) as found
where endpoint = $1 and day between ($2::timestamptz at time zone 'UTC')::date and ($3::timestamptz at time zone 'UTC')::date
  and at >= $2 and at <= $3 and (at < $3 or (event_id, n) > ($4::text, $5::integer))
  and ($7::smallint is null or status between $7 and $8::smallint)
  and (not $9::boolean or status is null or status not between 200 and 299)
  and ($11::text is null or subject = $11)
  and ($12::text is null or replay = $12)
order by at desc, event_id, n limit $6;

-- name: last_success
-- When did an endpoint last take something, among its newest attempts? Null where none of them was taken.
select max(at) filter (where status between 200 and 299) from (
  select at, status from attempt where endpoint = $1 order by at desc limit 1000) as newest;

-- name: share
-- Count how many of the newest ten thousand requests since a moment were taken; probes and tests are left out.
select
  coalesce(sum(repeats) filter (where status between 200 and 299), 0)::bigint as taken, coalesce(sum(repeats), 0)::bigint as sent
from (
  select status, repeats from attempt
  where endpoint = $1 and at >= $2 and day >= ($2::timestamptz at time zone 'UTC')::date and n > 0
  order by at desc limit 10000
) as newest;

-- name: make_days
-- Make the partitions of the days to come.
select make_attempt_days($1, $2);

-- name: drop_days
-- Drop the partitions before a day.
select drop_attempt_days($1);
