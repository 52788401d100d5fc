-- purpose: journal

-- name: last_of_shard
-- Find the newest row of a shard.
select day, pos, chain from event where shard = $1 order by day desc, pos desc limit 1;

-- name: public_after
-- Read the public rows of a shard behind a cursor, in order: those of its day by their positions, then those of later days.
select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
from (
  (
    select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
    from event
    where shard = $1 and day = $2 and pos > $3 and kind = 'public'
    order by pos
    limit $4
  )
  union all
  (
    select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
    from event
    where shard = $1 and day > $2 and kind = 'public'
    order by day, pos
    limit $4
  )
) as behind
order by day, pos
limit $4;

-- name: ends
-- Find the newest position of every shard.
select shard.id as shard, last.day, last.pos
from shard
left join lateral (
  select event.day, event.pos from event where event.shard = shard.id order by event.day desc, event.pos desc limit 1
) as last on true;

-- name: oldest
-- Find the oldest position of every shard.
select shard.id as shard, first.day, first.pos
from shard
left join lateral (
  select event.day, event.pos from event where event.shard = shard.id order by event.day, event.pos limit 1
) as first on true;

-- name: place_at
-- Find every shard's first row received at or after $2, by halving the positions of its day up to $3, which is earlier; and its newest.
with recursive halving (shard, low, high) as (
  select shard.id, first.pos, newest.pos + 1
  from shard
  cross join lateral (select pos from event where day = $1 and event.shard = shard.id order by pos limit 1) first
  cross join lateral (select pos from event where day = $1 and event.shard = shard.id order by pos desc limit 1) newest
  union all
  select halving.shard,
    case when middle.received_at < $3 then middle.pos + 1 else halving.low end,
    case when middle.received_at < $3 then halving.high else (halving.low + halving.high) / 2 end
  from halving
  cross join lateral (
    select pos, received_at from event
    where day = $1 and event.shard = halving.shard and pos >= (halving.low + halving.high) / 2 order by pos limit 1
  ) middle
  where halving.low < halving.high
)
select shard.id as shard, found.day, found.pos, newest.day as end_day, newest.pos as end_pos
from shard
left join halving on halving.shard = shard.id and halving.low >= halving.high
left join lateral (
  (select day, pos from event
    where event.shard = shard.id and day = $1 and pos >= coalesce(halving.low, 0) and received_at >= $2 order by pos limit 1)
  union all
  (select day, pos from event where event.shard = shard.id and day > $1 and received_at >= $2 order by day, pos limit 1)
  limit 1
) found on true
left join lateral (
  select day, pos from event where event.shard = shard.id order by event.day desc, event.pos desc limit 1
) newest on true;

-- name: public_by_id
-- Find one public row on a day.
select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
from event
where id = $1 and part = $2 and day = $3 and kind = 'public';

-- name: chain_of_shard
-- Read every row of a shard behind a cursor, with what its chain covers.
select day, shard, pos, id, part, kind, type, subject, subject_seq, account, site, run, occurred_at, received_at, public,
  sealed_sha256, chain
from (
  (
    select day, shard, pos, id, part, kind, type, subject, subject_seq, account, site, run, occurred_at, received_at, public,
      sealed_sha256, chain
    from event
    where shard = $1 and day = $2 and pos > $3
    order by pos
    limit $4
  )
  union all
  (
    select day, shard, pos, id, part, kind, type, subject, subject_seq, account, site, run, occurred_at, received_at, public,
      sealed_sha256, chain
    from event
    where shard = $1 and day > $2
    order by day, pos
    limit $4
  )
) as behind
order by day, pos
limit $4;

-- name: field_by_id
-- Find one field event on a day.
select id, type, subject, account, site, run, occurred_at, received_at, public
from event
where id = $1 and day = $2 and kind = 'field';

-- name: newest_of_account
-- Read the newest public rows of an account, in the order in which they were recorded: (account, since which day, how many of a shard).
select newest.day, newest.shard, pos, newest.id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
from shard
cross join lateral (
  select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
  from event
  where event.account = $1 and event.shard = shard.id and event.kind = 'public' and event.day >= $2
  order by pos desc limit $3) as newest
order by received_at, newest.shard, pos;

-- name: public_of_ids
-- Read the public rows, of every part, that events have, by their ids; each id is looked up (offset 0), whatever the statistics of a table made today say.
select found.day, found.shard, found.pos, found.id, found.part, found.type, found.subject, found.subject_seq, found.account,
  found.site, found.run, found.occurred_at, found.received_at, found.public
from unnest($1::uuid[]) as wanted (id)
cross join lateral (select event_id.day from event_id where event_id.id = wanted.id offset 0) as known
cross join lateral (
  select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public
  from event
  where event.day = known.day and event.id = wanted.id and event.kind = 'public' offset 0
) as found;

-- name: of_run
-- Page through what was published of a run, in the order in which it happened, each with what was said for it: (run, first_day, last_day, at, id, part, limit).
with page as (
  select day, id, part, type, subject, occurred_at, received_at, public from event
  where run = $1 and kind = 'public' and day between $2 and $3 and (occurred_at, id, part) > ($4::timestamptz, $5::uuid, $6::smallint)
  order by occurred_at, id, part limit $7
)
select page.id, page.part, page.type, page.subject, page.occurred_at, page.received_at, page.public, field.public as said
from page
left join lateral (
  select event.public from event where event.day = page.day and event.id = page.id and event.kind = 'field' limit 1
) as field on true
order by page.occurred_at, page.id, page.part;

-- name: arrived
-- Count the field events of a shard between two places by site and minute, what of it came late, and how late at most: (shard, day, pos, until_day, until_pos, late_s).
select site, date_trunc('minute', received_at) as minute, count(*) as events, max(received_at) as last_at,
  count(*) filter (where received_at - occurred_at > make_interval(secs => $6)) as late,
  coalesce(max(extract(epoch from received_at - occurred_at)) filter (where received_at - occurred_at > make_interval(secs => $6)), 0)::double precision as longest_s
from event
where shard = $1 and day between $2 and $4 and (day, pos) > ($2, $3::bigint) and (day, pos) <= ($4, $5::bigint) and kind = 'field'
  and type not like 'timer.%'
group by 1, 2;
