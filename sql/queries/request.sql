-- purpose: delivery changes

-- name: save
-- Write a request as it is decided, give the sheet of its item a new version if `anew`, and tell it that the item is out: (id, subject, kind, state, step, reason, instead, other, asked_by, identity, high_risk, risk_reasons, asked_at, state_at, from, to, starts_at, ends_at, since, sheet_at, cooled_at, target_hmac, closed_at, on_sheet, anew, steps, sealed, customer).
with concerned as (
  select run.id, run.day, run.round_id, task.state = 'planned' as is_planned
  from task join run on run.day = task.day and run.round_id = task.round_id
  where task.subject = $2 and (task.state = 'planned' or $3 in ('hold', 'pickup_point')) and $25::boolean
  union
  select run.id, run.day, run.round_id, false
  from request join run on run.day = request.left_day and run.round_id = request.left_round where request.id = $1 and $25::boolean
), raised as (
  update run set version = run.version + 1 where run.id in (select id from concerned)
  returning run.id, run.version + (select round.version from round where round.id = run.round_id) + coalesce(
    (select sum(task.changes) from task where task.day = run.day and task.round_id = run.round_id), 0) as sheet_version
), newest as (
  select id, sheet_version from raised where id in (select id from concerned where is_planned) order by id limit 1
), told as (
  insert into timer (id, due_at, handler, kind, subject, key, payload)
  select new_uuid7(), task.loaded_at, 'delivery_change', 'loaded', $2, 'task', '{}'
  from task where task.subject = $2 and task.state = 'planned' and task.loaded_at is not null
    and not exists (select 1 from request where request.id = $1) limit 1
  on conflict (handler, kind, subject, key) do nothing
)
insert into request (id, subject, kind, state, step, reason, instead, other, asked_by, identity, high_risk, risk_reasons, asked_at,
  state_at, from_day, to_day, starts_at, ends_at, since, sheet_at, cooled_at, target_hmac, closed_at, on_sheet, steps, sealed,
  sheet_run, sheet_version, customer)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text[], $13::timestamptz, $14::timestamptz, $15::text::date,
  $16::text::date, $17::timestamptz, $18::timestamptz, $19::timestamptz, $20::timestamptz, $21::timestamptz, $22,
  $23::timestamptz, $24, $26::text[], $27::bytea, (select id from newest), (select sheet_version from newest), $28)
on conflict (id) do update set from_day = excluded.from_day, to_day = excluded.to_day, ends_at = excluded.ends_at,
  state = excluded.state, step = excluded.step, reason = excluded.reason, instead = excluded.instead,
  other = excluded.other, identity = excluded.identity, high_risk = excluded.high_risk, asked_at = excluded.asked_at,
  state_at = excluded.state_at, since = excluded.since, sheet_at = excluded.sheet_at, cooled_at = excluded.cooled_at,
  closed_at = excluded.closed_at, on_sheet = excluded.on_sheet, steps = excluded.steps, sealed = excluded.sealed,
  sheet_run = coalesce(excluded.sheet_run, request.sheet_run), sheet_version = coalesce(excluded.sheet_version, request.sheet_version);

-- name: item_told
-- Tell the requests on an item what became of it, or that it did not: (subject, loaded or ended, event id, at, payload).
with marked as (
  update task set loaded_at = case when $2 = 'loaded' and not $5::text::jsonb ? 'withdrawn' then $4::timestamptz end
  where subject = $1 and state = 'planned' and (loaded_at is null) = ($2 = 'loaded' and not $5::text::jsonb ? 'withdrawn')
    and ($2 = 'loaded' or $5::text::jsonb ->> 'what' = 'held')
)
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $4::timestamptz, 'delivery_change', $2, $1, $3, $5::text::jsonb
where exists (
  select 1 from request where request.subject = $1 and (request.closed_at is null or request.closed_at > now() - interval '30 days'))
on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;

-- name: sheet_seen
-- Tell the requests on a run's sheet that the carrier has it: (run_id, version, at). An older version does not show the newer ones.
-- A request that was edited has been seen once a sheet was that says what is asked since.
insert into timer (id, due_at, handler, kind, subject, key, payload)
select distinct on (request.id) new_uuid7(), greatest($3::timestamptz, request.sheet_at + interval '1 millisecond'),
  'delivery_change', 'seen', request.subject, concat_ws(' ', request.id, nullif(told.edits, 0)),
  jsonb_build_object('request_id', request.id, 'run_id', run.id, 'edits', told.edits)
from run join round on round.id = run.round_id
join task on task.day = run.day and task.round_id = run.round_id
join request on request.subject = task.subject
cross join lateral (
  select count(*) filter (where step like 'edited|%') as edits, max(place) filter (where step like 'edited|%') as edited,
    max(place) filter (where step like 'seen_by_carrier|%') as seen
  from unnest(request.steps) with ordinality as steps (step, place)
) as told
where run.id = $1 and request.sheet_at is not null and (request.closed_at is null or request.closed_at > now() - interval '30 days')
  and $2::bigint >= case when request.sheet_run = run.id then request.sheet_version else run.version + round.version
    + (select sum(other.changes) from task as other where other.day = run.day and other.round_id = run.round_id) end
  and (told.seen is null or told.seen < told.edited)
on conflict (handler, kind, subject, key) do nothing;

-- name: read
-- Read one request.
select id, subject, kind, state, step, reason, instead, other, asked_by, identity, high_risk, risk_reasons, asked_at, state_at,
  from_day, to_day, starts_at, ends_at, since, cooled_at, target_hmac, closed_at, on_sheet, steps, sealed, letters, customer
from request where id = $1;

-- name: of_customer
-- List the requests that a customer asked for while signed in, newest first: (customer, most).
select id, subject, kind, state, step, reason, instead, other, asked_by, identity, high_risk, risk_reasons, asked_at, state_at,
  from_day, to_day, starts_at, ends_at, since, cooled_at, target_hmac, closed_at, on_sheet, steps, sealed, letters, customer
from request where customer = $1 order by asked_at desc, id limit $2;

-- name: message_waits
-- Note since when a message waits for an answer of the office, null for none: (id, since).
update request set message_at = $2::timestamptz where id = $1;

-- name: unanswered
-- List the requests whose messages wait for an answer of the office, the longest first: (most).
select id, kind, message_at from request
where message_at is not null and (closed_at is null or closed_at > now() - interval '30 days')
order by message_at, id limit $1;

-- name: held_of_item
-- List the kinds of the requests on an item that others may not contradict: (subject, but for id).
select distinct kind from request
where subject = $1 and id is distinct from $2 and closed_at is null and state in ('verified', 'accepted', 'on_sheet', 'seen_by_carrier') order by kind;

-- name: at_step
-- List the open requests of some kinds that wait for something, oldest first.
select id, subject, kind, state, step, reason, instead, other, asked_by, identity, high_risk, risk_reasons, asked_at, state_at,
  from_day, to_day, starts_at, ends_at, since, cooled_at, target_hmac, closed_at, on_sheet, steps, sealed, letters, customer
from request where step = any($1::text[]) and kind = any($2::text[]) and closed_at is null order by asked_at, id limit $3;

-- name: on_sheet
-- List what stands on the sheet of a run beside its tasks, and that day what is not to be presented any more: (run_id, its delivery points, when its day begins, and ends).
select request.id, request.subject, request.kind, request.state, request.step, request.since, request.sealed, task.delivery_point
from run join task on task.day = run.day and task.round_id = run.round_id
join request on request.subject = task.subject
where run.id = $1 and (
  (request.on_sheet and task.state = 'planned' and (request.kind <> 'other_date' or request.from_day <> run.day))
  or (request.kind in ('hold', 'pickup_point') and request.state = 'applied' and request.state_at >= $3 and request.state_at < $4))
union
select request.id, request.subject, request.kind, request.state, request.step, request.since, request.sealed, task.delivery_point
from run join request on request.left_day = run.day and request.left_round = run.round_id
join lateral (
  select task.delivery_point from task where task.subject = request.subject order by task.day desc, task.id limit 1
) as task on true
where run.id = $1 and request.state in ('accepted', 'on_sheet', 'seen_by_carrier', 'applied') and not exists (
  select from task where task.subject = request.subject and task.day = run.day and task.round_id = run.round_id and task.state = 'planned')
union
select request.id, request.subject, request.kind, request.state, request.step, request.since, request.sealed, point.id
from run cross join unnest($2::text[]) as point (id)
join request on request.subject = 'delivery_point/' || point.id
where run.id = $1 and request.on_sheet and (request.from_day is null or request.step = 'code_sent' or request.from_day <= run.day)
  and (request.to_day is null or request.to_day >= run.day)
order by 1;

-- name: letter_written
-- Count the letters with a code that were written for a request.
update request set letters = letters + 1 where id = $1;

-- name: of_point
-- Count what was asked for an address since a moment, and how much of it was redirections: (subject, since, but for id).
select count(*) as asked, count(*) filter (where kind like 'redirect_%') as redirects
from request where subject = $1 and asked_at >= $2 and id <> $3;

-- name: to_target
-- Count the addresses whose redirections lead to one place since a moment: (target_hmac, since, but for subject).
select count(distinct subject) from request where target_hmac = $1 and asked_at >= $2 and subject <> $3;

-- name: held_at_point
-- Find a request that holds for all the mail of an item's address, against which a change of the item would go: (delivery_point, kinds).
select id from request where subject = 'delivery_point/' || $1::text and closed_at is null and kind = any($2::text[])
  and (state in ('accepted', 'applied') or step = 'cooling_off') and (starts_at is null or starts_at <= now())
  and (ends_at is null or ends_at > now()) order by asked_at limit 1;

-- name: item
-- Find the newest task of an item with what a request needs to know of it.
select task.id, task.subject, task.service, task.account, task.day, task.delivery_point, task.round_id, task.requirements,
  task.state, task.loaded_at, task.sealed, delivery_point.address, delivery_point.class, address.postcode, run.id as run_id,
  run.state as run_state, run_state.distance_along_m, run_state.through_at, round.site
from task
left join delivery_point on delivery_point.id = task.delivery_point
left join address on address.id = task.delivery_point
left join run on run.day = task.day and run.round_id = task.round_id
left join run_state on run_state.run = run.id
left join round on round.id = task.round_id
where task.subject = $1 order by (task.state = 'planned') desc, task.day desc, task.id limit 1;

-- name: point
-- Find an address with what a request needs to know of it: (delivery_point).
select delivery_point.id, delivery_point.address, delivery_point.class, address.postcode, round.id as round_id, round.site,
  (select count(*) from task where task.delivery_point = delivery_point.id and task.state = 'planned'
    and task.requirements && array['registered', 'signature']) as signed_items
from delivery_point
left join address on address.id = delivery_point.id
left join round on round.id = coalesce(
  (select stop.round_id from stop where stop.delivery_point_id = $1 order by stop.round_id limit 1), delivery_point.round_id)
where delivery_point.id = $1;

-- name: diverted
-- List the items of an address while its redirection was active: (delivery_point, first day, last day).
select task.subject, task.day, task.state, task.state_at, task.requirements from task
where task.delivery_point = $1 and task.service = 'item' and task.day >= $2 and task.day <= $3 order by task.day, task.subject;

-- name: contacts
-- List the proved contacts of an address, also those that were replaced since a moment: (delivery_point, since).
select sealed, verified_at, replaced_at from contact
where delivery_point = $1 and (replaced_at is null or replaced_at >= $2) order by verified_at, id;

-- name: keep_contact
-- Keep a contact that was proved; what was there before counts as replaced: (delivery_point, digest, sealed, verified_at).
with replaced as (
  update contact set replaced_at = $4::timestamptz where delivery_point = $1 and digest <> $2 and replaced_at is null
)
insert into contact (delivery_point, digest, sealed, verified_at) values ($1, $2, $3::bytea, $4::timestamptz)
on conflict (delivery_point, digest) do update set replaced_at = null, verified_at = excluded.verified_at
where contact.replaced_at is not null;

-- name: forget_before
-- Forget requests that were closed, and contacts that were replaced, before a moment.
with gone as (
  delete from contact where replaced_at < $1
)
delete from request where closed_at < $1;

-- name: subjects_of_run
-- List what a run carries, what a request took from its sheet to another day, and the doors that it serves, with where each is: (run_id).
with place as (
  select run.id, run.day, run.round_id from run where run.id = $1
)
select 'delivery_point/' || stop.delivery_point_id as subject, stop.stop_id, stop.address
from place join stop on stop.round_id = place.round_id
union all
select task.subject, stop.stop_id, stop.address
from place join lateral (
  select task.subject, task.delivery_point from task
  where task.day = place.day and task.round_id = place.round_id and task.state <> 'cancelled'
  union all
  select request.subject, moved.delivery_point from request join lateral (
    select task.delivery_point from task where task.subject = request.subject order by task.day desc, task.id limit 1
  ) as moved on true
  where request.sheet_run = place.id and request.closed_at is null
) as task on true
left join lateral (
  select stop.stop_id, stop.address from stop where stop.delivery_point_id = task.delivery_point
  order by (stop.round_id = place.round_id) desc, stop.round_id, stop.sequence limit 1
) as stop on true;

-- name: unfinished
-- List the requests about these subjects that are not finished; of those that hold, the ones of this day: (subjects[], day).
select id, subject, kind, state, step, reason, asked_at, from_day, to_day from request
where subject = any($1::text[]) and closed_at is null
  and (state <> 'applied' or ((from_day is null or from_day <= $2) and (to_day is null or to_day >= $2)))
order by asked_at, id;

-- name: addressed
-- Read the newest work on items that goes to a postcode, or to an address of which none is known: (postcode, since, limit).
select task.subject, task.day, task.sealed, delivery_point.address, address.postcode, round.site
from task
left join delivery_point on delivery_point.id = task.delivery_point
left join address on address.id = task.delivery_point
left join round on round.id = task.round_id
where task.service = 'item' and task.day >= $2 and coalesce(address.postcode, $1) = $1
order by task.day desc, task.subject
limit $3;

-- name: over_days
-- List the items of a site that lie at its office longer than they are kept, or will by a moment: (site, until, limit).
select timer.subject, timer.kind, timer.due_at
from timer
where timer.handler = 'item' and (timer.kind = 'back_by' or (timer.kind = 'return_due' and timer.due_at <= $2))
  and exists (
    select 1 from task join round on round.id = task.round_id where task.subject = timer.subject and round.site = $1
  )
order by timer.kind, timer.due_at, timer.subject
limit $3;

-- name: asked_about
-- List what was asked for an item or for its address, newest first: (item's subject, its address's).
select id, kind, state, reason, asked_at, state_at from request
where subject in ($1, $2) order by asked_at desc, id limit 20;
