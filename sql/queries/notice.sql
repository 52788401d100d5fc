-- purpose: notices

-- name: queue
-- Queue a notice, once for its key: (key, template, way, lang, due_at or null, sealed).
insert into notice (key, template, way, lang, sealed, queued_at, next_at)
values ($1, $2, $3, $4, $6::bytea, now(), coalesce($5::timestamptz, now()))
on conflict (key) do nothing;

-- name: take
-- Take notices whose turn has come, oldest first, and hold them for some seconds: (now, count, held_s).
update notice set next_at = $1::timestamptz + make_interval(secs => $3::double precision), attempts = attempts + 1
from (
  select id from notice where state = 'queued' and next_at <= $1 order by next_at limit $2 for update skip locked
) as due
where notice.id = due.id
returning notice.id, notice.key, notice.template, notice.way, notice.lang, notice.sealed, notice.attempts, notice.queued_at;

-- name: sent
-- Note that a notice was sent, and forget its address and words.
update notice set state = 'sent', reason = null, sealed = null, settled_at = now() where id = $1;

-- name: put_off
-- Try a notice later: (id, next_at, reason, attempts).
update notice set next_at = $2, reason = $3, attempts = $4 where id = $1;

-- name: give_up
-- Keep a notice that is not sent, with the reason: (id, state, reason).
update notice set state = $2, reason = $3, settled_at = now() where id = $1;

-- name: try_again
-- Queue again what nothing could send when it was due: (ways, since).
update notice set state = 'queued', reason = null, attempts = 0, next_at = now(), settled_at = null
where state = 'not_sent' and reason = 'not_configured' and way = any($1::text[]) and settled_at > $2 and sealed is not null;

-- name: counted
-- Count notices by way, state and reason.
select way, state, reason, count(*) as count from notice group by way, state, reason order by way, state, reason;

-- name: forget_before
-- Forget the notices that were settled before a moment.
delete from notice where state <> 'queued' and settled_at < $1;

-- name: with_key
-- Is there a notice with this key?
select exists (select 1 from notice where key = $1);

-- name: members
-- Find the mail addresses of the persons of a subscriber.
select id, email from account where kind = 'member' and parent = $1 and revoked_at is null and email is not null order by id;
