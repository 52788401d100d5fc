-- purpose: who looked

-- name: note
-- Append one row to the chain: (actor, role, action, subject, reason, site, carrier).
select audit_note($1, $2, $3, $4, $5, $6, $7);

-- name: note_soon
-- Append one row without waiting for the disk; the order on the disk stays that of the chain.
select audit_note($1, $2, $3, $4, $5, $6, $7), set_config('synchronous_commit', 'off', true);

-- name: lock_end
-- Read the last link, and let nobody append until this transaction ends.
select day, pos, at, chain, epoch from audit_end for update;

-- name: move_epoch
-- Write down under which epoch of the store the chain goes on.
update audit_end set epoch = $1;

-- name: add_head
-- Keep a signed link, once.
insert into audit_head (epoch, day, pos, at, chain, signature) values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning pos;

-- name: heads
-- List the signed links, oldest first.
select epoch, day, pos, at, chain, signature from audit_head order by day, pos;

-- name: chain_after
-- Read rows of the chain after a place: (day, position, how many).
select day, pos, at, actor, role, action, subject, reason, site, carrier_ref, chain
from audit where (day, pos) > ($1, $2) order by day, pos limit $3;

-- name: last_of_earlier_day
-- Read the last link before a day.
select day, pos, at, chain, null::uuid as epoch from audit where day < $1 order by day desc, pos desc limit 1;

-- name: end
-- Read the last link.
select day, pos, at, chain, epoch from audit_end;

-- name: page
-- Page through the log, newest first, before a place; each filter may be null: (day, position, how many, actor, role, action, subject, site, from, until).
select day, pos, at, actor, role, action, subject, reason, site
from audit
where (day, pos) < ($1, $2)
  and ($4::text is null or actor = $4) and ($5::text is null or role = $5) and ($6::text is null or action = $6)
  and ($7::text is null or subject = $7) and ($8::text is null or site = $8)
  and ($9::date is null or day >= $9) and ($10::date is null or day <= $10)
order by day desc, pos desc limit $3;

-- name: of_account
-- Page through what was done in one account by its people, its keys and the operator, newest first: (account, day, position, limit).
select day, pos, at, actor, role, action, subject, reason, site
from audit
where (role in ('member', 'subscriber') or subject like 'account/%')
  and (day, pos) < ($2, $3) and action not in ('feed.read', 'event.seen', 'person.signed_in')
  and (actor = $1 or subject = 'account/' || $1
    or (role = 'member' and actor in (select id from account where parent = $1)))
order by day desc, pos desc limit $4;

-- name: of_carrier
-- Page through who looked at one carrier's work, or at the list of a past day or at past alerts of their site, newest first: (carrier, site, day, position, limit, from).
select day, pos, at, actor, role, action, subject, reason, site
from (
  (select day, pos, at, actor, role, action, subject, reason, site from audit
   where carrier_ref = $1 and (day, pos) < ($3, $4) and day >= ($6::timestamptz at time zone 'UTC')::date and at >= $6 order by day desc, pos desc limit $5)
  union all
  (select day, pos, at, actor, role, action, subject, reason, site from audit
   where action in ('runs.listed', 'alerts.listed') and (site = $2 or site is null) and (day, pos) < ($3, $4)
     and day >= ($6::timestamptz at time zone 'UTC')::date and at >= $6 order by day desc, pos desc limit $5)
) as looks
order by day desc, pos desc limit $5;

-- name: make_months
-- Make missing months.
select make_audit_months($1, $2);

-- name: drop_months
-- Drop the months before that of a day.
select drop_audit_months($1);
