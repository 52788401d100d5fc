-- purpose: operation

-- name: add
-- Record what was asked for.
insert into replay (id, endpoint, mode, state, starts, ends, types, only_failed, listed, rate_per_s, skipped, lists, list_since,
  list_at, list_event, created_at, ended_at, leased_until)
values ($1, $2, $3, $4, $5, $6, $7::text[], $8, $9, $10, $11, case when $9 then 'dead' end, $12, now(), '', now(),
  case when $4 = 'done' then now() end, now());

-- name: set_skipped
-- Say how many events a skip passed.
update replay set skipped = $2 where id = $1;

-- name: add_cursors
-- Set where a replay starts and ends in every shard.
insert into replay_cursor (replay, shard, day, pos, end_day, end_pos)
select $1, shard, day, pos, end_day, end_pos
from unnest($2::smallint[], $3::date[], $4::bigint[], $5::date[], $6::bigint[]) as place (shard, day, pos, end_day, end_pos);

-- name: hold_list
-- Hold a replay that is ours until the end of the transaction, and read how far its list came; none if it is not ours or stands.
select endpoint, lists, list_at, list_event, list_since from replay
where id = $1 and epoch = $2 and state = 'running' for no key update;

-- name: list_dead
-- List a slice of the dead letters between a replay's cursors and their ends, newest first; return where it stopped.
with slice as (
  select event_id, at, shard, day, pos from dead_letter
  where endpoint = $2 and at <= $3 and (at < $3 or event_id > $4) and at >= coalesce($5::timestamptz, '-infinity')
  order by at desc, event_id limit $6
), listed as (
  insert into replay_event (replay, shard, day, pos)
  select $1, d.shard, d.day, d.pos from slice d join replay_cursor c on c.replay = $1 and c.shard = d.shard
  where (d.day, d.pos) > (c.day, c.pos) and (d.day, d.pos) <= (c.end_day, c.end_pos)
  on conflict do nothing
)
select at, event_id, (select count(*) from slice) as read from slice order by at, event_id desc limit 1;

-- name: failed_slice
-- Read a slice of the attempts that failed, newest first, as far back as a replay goes.
select a.event_id, a.at from attempt a
where a.endpoint = $2 and (a.status is null or a.status not between 200 and 299)
  and a.day <= ($3::timestamptz at time zone 'UTC')::date and a.day >= (select min(c.day) from replay_cursor c where c.replay = $1)
  and a.at <= $3 and (a.at < $3 or a.event_id > $4)
order by a.at desc, a.event_id limit $5;

-- name: list_refused
-- List those of some events between a replay's cursors and their ends whose last attempt failed; what was sent in a batch counts.
with refused as (
  select distinct event_id, substr(event_id, 5, 36)::uuid as id, coalesce(nullif(substr(event_id, 42), ''), '0')::smallint as part
  from unnest($3::text[]) as slice (event_id) where event_id ~ '^evt_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(_[0-9]{1,4})?$'
)
insert into replay_event (replay, shard, day, pos)
select $1, e.shard, e.day, e.pos
from refused
cross join lateral (
  select a.at, a.status from attempt a where a.endpoint = $2 and a.event_id = refused.event_id order by a.at desc limit 1
) newest
join event_id known on known.id = refused.id
join event e on e.day = known.day and e.id = refused.id and e.part = refused.part and e.kind = 'public'
join replay_cursor c on c.replay = $1 and c.shard = e.shard
where (newest.status is null or newest.status not between 200 and 299)
  and (e.day, e.pos) > (c.day, c.pos) and (e.day, e.pos) <= (c.end_day, c.end_pos)
  and not exists (
    select from attempt b where b.event_ids @> array[refused.event_id] and b.endpoint = $2
      and b.at > newest.at and b.status between 200 and 299)
on conflict do nothing;

-- name: mark_list
-- Note how far the list of a replay came, and of what it goes on; null when it is whole.
update replay set lists = $2, list_at = case when $2 = lists then $3 else created_at end, list_event = case when $2 = lists then $4 else '' end
where id = $1;

-- name: dead
-- Count the dead letters since a moment.
select count(*) from dead_letter where endpoint = $1 and at >= $2;

-- name: open
-- Count the replays of an endpoint that have not ended.
select count(*) from replay where endpoint = $1 and state in ('running', 'paused');

-- name: page
-- List an endpoint's replays, newest first, before one; with what one that runs waits for.
select r.id, r.endpoint, r.mode, r.state, r.starts, r.ends, r.types, r.only_failed, r.rate_per_s, r.sent, r.failed, r.skipped,
  r.created_at, r.ended_at,
  case when r.state <> 'running' then null when e.state <> 'active' then 'endpoint_' || e.state
    when l.opened_at is not null then 'endpoint_open' when l.held_until > now() then 'endpoint_held'
    when r.owner is null then 'turn' when r.lists is not null then 'list' end as waits_for
from replay r join endpoint e on e.id = r.endpoint left join lane l on l.endpoint = r.endpoint
where r.endpoint = $1 and r.id < $2 order by r.id desc limit $3;

-- name: settle
-- Pause, resume or cancel a replay that is in one of some states.
update replay set state = $3, ended_at = case when $3 = 'cancelled' then coalesce(ended_at, now()) end
where endpoint = $1 and id = $2 and state = any($4::text[]) returning id;

-- name: claim
-- Take replays that nobody works at for an owner, each with its next epoch: of endpoints that are active, with breakers closed.
-- An account has at most so many at work at once; those of accounts with the fewest come first, and an account's first needs no
-- free place: nobody waits for the replays of others.
with held as (
  select e.account, count(*) as replays from replay r join endpoint e on e.id = r.endpoint
  where r.state = 'running' and r.owner is not null and r.leased_until > now() group by e.account
), waiting as (
  select r.id, r.leased_until,
    coalesce(held.replays, 0) + row_number() over (partition by e.account order by r.leased_until, r.id) as nth
  from replay r
  join endpoint e on e.id = r.endpoint join account a on a.id = e.account join lane l on l.endpoint = e.id
  left join held on held.account = e.account
  where r.state = 'running' and r.leased_until <= now() and e.state = 'active' and a.revoked_at is null
    and l.opened_at is null and (l.held_until is null or l.held_until <= now())
), next as (
  select id, nth, row_number() over (order by nth, leased_until, id) as place from waiting where nth <= $4
)
update replay set owner = $1, epoch = replay.epoch + 1, leased_until = now() + make_interval(secs => $2)
from (
  select r.id from next join replay r on r.id = next.id
  where (next.place <= $3 or next.nth = 1) and r.state = 'running' and r.leased_until <= now()
  for update of r skip locked
) free
where replay.id = free.id
returning replay.id, replay.endpoint, replay.epoch, replay.types, replay.listed, replay.rate_per_s,
  replay.sent, replay.failed, replay.skipped;

-- name: renew
-- Keep replays; those that are not returned are lost, settled by somebody, or have to wait for their endpoint.
update replay set leased_until = now() + make_interval(secs => $4)
from unnest($2::text[], $3::bigint[]) as mine (id, epoch), endpoint e, account a, lane l
where replay.id = mine.id and replay.epoch = mine.epoch and replay.owner = $1 and replay.state = 'running'
  and e.id = replay.endpoint and e.state = 'active' and a.id = e.account and a.revoked_at is null
  and l.endpoint = e.id and l.opened_at is null and (l.held_until is null or l.held_until <= now())
returning replay.id;

-- name: release
-- Give a replay up, so that another owner may take it.
update replay set owner = null, leased_until = now() where id = $2 and epoch = $3 and owner = $1;

-- name: save
-- Note how far a replay has come, in the name of its epoch; a stale one, or one that has ended, notes nothing.
update replay set sent = $4, failed = $5, skipped = $6
where id = $2 and epoch = $3 and owner = $1 and state in ('running', 'paused') returning id;

-- name: move
-- Move the cursors of a replay.
update replay_cursor set day = new.day, pos = new.pos
from unnest($2::smallint[], $3::date[], $4::bigint[]) as new (shard, day, pos)
where replay_cursor.replay = $1 and replay_cursor.shard = new.shard;

-- name: end
-- End a replay that is through, and forget what it listed.
with ended as (
  update replay set state = 'done', ended_at = now(), owner = null where id = $1 and state in ('running', 'paused') returning id
)
delete from replay_event using ended where replay_event.replay = ended.id;

-- name: cursors
-- Read where a replay stands and ends in every shard.
select shard, day, pos, end_day, end_pos from replay_cursor where replay = $1 order by shard;

-- name: next
-- Read the next events that a replay lists; all but the place is null where retention was faster.
select r.day, r.shard, r.pos, e.id, e.part, e.type, e.subject, e.subject_seq, e.account, e.site, e.run,
  e.occurred_at, e.received_at, e.public
from replay_event r left join event e on e.day = r.day and e.shard = r.shard and e.pos = r.pos and e.kind = 'public'
where r.replay = $1 and r.shard = $2 and (r.day, r.pos) > ($3::date, $4::bigint)
order by r.day, r.pos limit $5;

-- name: delivered
-- Take events that arrived after all out of the dead letters.
delete from dead_letter where endpoint = $1 and event_id = any($2::text[]);

-- name: forget
-- Forget replays that ended some days ago.
delete from replay where ended_at < now() - make_interval(days => $1);

-- name: forget_lists
-- Forget some of what replays listed that have ended.
delete from replay_event where (replay, shard, day, pos) in (
  select e.replay, e.shard, e.day, e.pos from replay r join replay_event e on e.replay = r.id
  where r.ended_at is not null limit $1);

-- name: fence
-- Take a lane from its owner: nothing that it still saves counts, and nobody sends before its lease has run out.
update lane set epoch = epoch + 1, owner = null where endpoint = $1 returning endpoint;

-- name: hold_lane
-- Hold a lane until the end of the transaction, before anything that its owner saves.
select endpoint from lane where endpoint = $1 for no key update;

-- name: move_back
-- Move the live cursor back in the shards where a place lies before it.
update cursor set day = place.day, pos = place.pos
from unnest($2::smallint[], $3::date[], $4::bigint[]) as place (shard, day, pos)
where cursor.endpoint = $1 and cursor.shard = place.shard and (place.day, place.pos) < (cursor.day, cursor.pos)
returning cursor.shard;

-- name: free_behind
-- Free the parked subjects of some shards that stand behind the cursor: they are read again.
delete from parked using cursor
where parked.endpoint = $1 and parked.shard = any($2::smallint[]) and cursor.endpoint = parked.endpoint
  and cursor.shard = parked.shard and (parked.day, parked.pos) > (cursor.day, cursor.pos)
returning parked.subject;

-- name: drop_backlog
-- Forget what waits behind subjects.
delete from lane_backlog where endpoint = $1 and subject = any($2::text[]);

-- name: take_back
-- Forget the dead letters of some shards that lie behind the cursor: they are read again.
delete from dead_letter using cursor
where dead_letter.endpoint = $1 and dead_letter.shard = any($2::smallint[]) and cursor.endpoint = dead_letter.endpoint
  and cursor.shard = dead_letter.shard and (dead_letter.day, dead_letter.pos) > (cursor.day, cursor.pos);

-- name: move_on
-- Move the live cursor to the newest places.
update cursor set day = place.day, pos = place.pos
from unnest($2::smallint[], $3::date[], $4::bigint[]) as place (shard, day, pos)
where cursor.endpoint = $1 and cursor.shard = place.shard and (place.day, place.pos) > (cursor.day, cursor.pos);

-- name: free_all
-- Let go of everything that waits parked, and count its events.
with freed as (
  delete from parked where endpoint = $1 returning subject
), dropped as (
  delete from lane_backlog where endpoint = $1 returning pos
)
select (select count(*) from freed) + (select count(*) from dropped) as events;

-- name: make_due
-- Let the subjects that were parked since a moment be tried at once.
update parked set next_at = now() where endpoint = $1 and since >= $2 and next_at > now();

-- name: passed
-- Count what a view may see between two places of a shard, by type and site; null for the account is every account.
select type, account, site, count(*) as events from event
where shard = $1 and day >= $2 and (day > $2 or pos > $3) and day <= $4 and (day < $4 or pos <= $5) and kind = 'public'
  and ($6::text is null or account = $6)
group by type, account, site;
