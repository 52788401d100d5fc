-- purpose: operation

-- name: news
-- Find endpoints of which something is not told: an outage, a breaker, a disabling; with the last attempt that went wrong.
select e.id as endpoint, e.account, e.state, e.reason, e.stopped_at, l.opened_at, l.failing_since, l.warned,
  t.opened_at as told_opened_at, t.failing_since as told_failing_since, coalesce(t.warned, 0) as told_warned,
  t.stopped_at as told_stopped_at, t.hour, coalesce(t.said, 0) as said, last.status, last.error, e.url
from endpoint e join lane l on l.endpoint = e.id left join told t on t.endpoint = e.id
left join lateral (
  select a.status, a.error from attempt a
  where a.endpoint = e.id and l.opened_at is not null and a.day >= (l.opened_at at time zone 'UTC')::date and a.at <= l.opened_at
    and (a.status is null or a.status not between 200 and 299)
  order by a.at desc limit 1
) as last on true
where l.opened_at is distinct from t.opened_at
  or (e.state = 'disabled' and e.stopped_at is distinct from t.stopped_at)
  or (e.state = 'active' and l.warned > 0 and (l.failing_since is distinct from t.failing_since or least(l.warned, 90) > t.warned))
order by e.id limit $1;

-- name: mark
-- Note what was told of an endpoint, in an hour: (endpoint, opened_at, failing_since, warned, stopped_at, hour).
insert into told (endpoint, opened_at, failing_since, warned, stopped_at, hour, said)
select id, $2::timestamptz, $3::timestamptz, $4::smallint, $5::timestamptz, $6::timestamptz, 1 from endpoint where id = $1
on conflict (endpoint) do update set opened_at = excluded.opened_at, failing_since = excluded.failing_since,
  warned = excluded.warned, stopped_at = excluded.stopped_at,
  said = case when told.hour = excluded.hour then told.said + 1 else 1 end, hour = excluded.hour;

-- name: rest
-- Take the breaker of an endpoint that a person resumed as told: it did not recover.
update told set opened_at = null where endpoint = $1;

-- name: letters
-- Count the dead letters of each endpoint that are not told; what is about an endpoint is never told.
select d.endpoint, e.account, count(*) as waiting, max(d.at) as newest, t.hour, coalesce(t.said, 0) as said
from dead_letter d join endpoint e on e.id = d.endpoint left join told t on t.endpoint = d.endpoint
where not d.told and d.subject not like 'endpoint/%'
group by d.endpoint, e.account, t.hour, t.said order by d.endpoint limit $1;

-- name: oldest_letters
-- Read the oldest dead letters of an endpoint that are not told: (endpoint, until, most).
select event_id, subject, at, reason, attempts from dead_letter
where endpoint = $1 and not told and subject not like 'endpoint/%' and at <= $2 order by at, event_id limit $3;

-- name: mark_letters
-- Note that dead letters of an endpoint are told: these, or with null all up to a moment: (endpoint, until, event ids).
update dead_letter set told = true
where endpoint = $1 and not told and subject not like 'endpoint/%' and at <= $2 and ($3::text[] is null or event_id = any($3));

-- name: count
-- Note how much was told of an endpoint in an hour: (endpoint, hour, count).
insert into told (endpoint, hour, said) select id, $2::timestamptz, $3::integer from endpoint where id = $1
on conflict (endpoint) do update
set said = case when told.hour = excluded.hour then told.said + excluded.said else excluded.said end, hour = excluded.hour;

-- name: blocked
-- Find subjects that are parked behind an event whose schedule is used up, where none may be left out: (attempts, most).
select p.endpoint, e.account, p.subject, p.shard, p.day, p.pos, p.attempts, p.reason, p.since, t.hour,
  coalesce(t.said, 0) as said
from parked p join endpoint e on e.id = p.endpoint left join told t on t.endpoint = p.endpoint
where e.on_exhausted = 'block' and not p.told and p.attempts >= coalesce(array_length(e.schedule, 1), $1)
  and p.subject not like 'endpoint/%'
order by p.since limit $2;

-- name: mark_blocked
-- Note that it was told for which event a subject is blocked.
update parked set told = true where endpoint = $1 and subject = $2;

-- name: lags
-- Tell since when the oldest event waits that an active endpoint has not passed, and which lag of it was told.
select e.id as endpoint, e.account, oldest.received_at as oldest, t.lagging_since, t.hour, coalesce(t.said, 0) as said
from endpoint e join account a on a.id = e.account and a.revoked_at is null
left join told t on t.endpoint = e.id
left join lateral (
  select min(waiting.received_at) as received_at from (
    select next.received_at from cursor c cross join lateral (
      (select event.received_at from event
        where event.day = c.day and event.shard = c.shard and event.pos > c.pos and event.kind = 'public' order by event.pos limit 1)
      union all
      (select event.received_at from event
        where event.day > c.day and event.shard = c.shard and event.kind = 'public' order by event.day, event.pos limit 1)
      limit 1
    ) as next
    where c.endpoint = e.id
    union all
    (select parked.since from parked where parked.endpoint = e.id order by parked.since limit 1)
  ) as waiting
) as oldest on true
where e.state = 'active';

-- name: mark_lag
-- Note the lag of an endpoint that was told, null for its end: (endpoint, since, hour).
insert into told (endpoint, lagging_since, hour, said) select id, $2::timestamptz, $3::timestamptz, 1 from endpoint where id = $1
on conflict (endpoint) do update set lagging_since = excluded.lagging_since,
  said = case when told.hour = excluded.hour then told.said + 1 else 1 end, hour = excluded.hour;

-- name: announced
-- Read up to which day the danger of retention was announced to endpoints.
select e.id as endpoint, e.account, e.url, e.state, t.retention_day from endpoint e left join told t on t.endpoint = e.id
where e.id = any($1::text[]);

-- name: mark_retention
-- Note up to which day the danger of retention was announced: (endpoint, day).
insert into told (endpoint, retention_day) select id, $2::date from endpoint where id = $1
on conflict (endpoint) do update set retention_day = excluded.retention_day;

-- name: states
-- Count the endpoints in each state.
select
  count(*) filter (where e.state = 'active') as active,
  count(*) filter (where e.state = 'paused') as paused,
  count(*) filter (where e.state = 'disabled') as disabled,
  count(*) filter (where e.state = 'active' and l.opened_at is not null) as open,
  count(*) filter (where e.state = 'active' and l.warned > 0) as degraded
from endpoint e join lane l on l.endpoint = e.id;
