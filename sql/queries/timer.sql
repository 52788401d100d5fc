-- purpose: operation

-- name: due
-- Find the timers that are due, oldest first, but some kinds: (now, how many at most, kinds).
select id, due_at, handler, kind, subject, payload from timer
where due_at <= $1 and kind <> all($3::text[]) order by due_at limit $2;

-- name: still_set
-- Find which of these timers still exist.
select id from timer where id = any($1::uuid[]);

-- name: set
-- Set timers; the same key again replaces the earlier one.
insert into timer (id, due_at, handler, kind, subject, key, payload)
select id, due_at, handler, kind, subject, key, payload
from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
  as new (id, due_at, handler, kind, subject, key, payload)
on conflict (handler, kind, subject, key) do update
set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;

-- name: drop
-- Forget timers by key.
delete from timer
using unnest($1::text[], $2::text[], $3::text[]) as gone (handler, kind, subject)
where timer.handler = gone.handler and timer.kind = gone.kind and timer.subject = gone.subject;

-- name: empty
-- Delete the timers whose commands are in this commit.
delete from timer where id = any($1::uuid[]);

-- name: next_due
-- Find when the next timer is due.
select min(due_at) as due_at from timer;

-- name: play
-- Set a timer that says an event of a sandbox's task: (handler, subject, key, due_at, payload).
insert into timer (id, due_at, handler, kind, subject, key, payload)
values (gen_random_uuid(), $4::timestamptz, $1, 'command', $2, $3, $5::text::jsonb)
on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;

-- name: stop_playing
-- Forget what a sandbox's task would still have said: (handler, subject).
delete from timer where handler = $1 and subject = $2 and kind = 'command' and key like 'sandbox %';
