-- purpose: who is calling

-- name: one_at_a_time
-- Let the codes of one address be made one after the other, until the transaction ends: (email).
select pg_advisory_xact_lock(hashtextextended(encode($1::bytea, 'hex'), 8123));

-- name: made_since
-- Count the codes that were made for an address since a moment: (email, since).
select count(*) from sign_in_code where email_hmac = $1 and made_at > $2;

-- name: add
-- Keep a code: (ticket, email, code, now, expires_at, tries).
insert into sign_in_code (ticket_sha256, email_hmac, code_hmac, made_at, expires_at, tries_left) values ($1, $2, $3, $4, $5, $6);

-- name: try
-- Take a try at a code that can be used, before it is compared: (ticket, now).
update sign_in_code set tries_left = tries_left - 1
where ticket_sha256 = $1 and used_at is null and expires_at > $2 and tries_left > 0
returning email_hmac, code_hmac;

-- name: use
-- Use a code up, unless somebody else just did: (ticket, now).
update sign_in_code set used_at = $2 where ticket_sha256 = $1 and used_at is null returning ticket_sha256;

-- name: forget_old
-- Delete codes that were made more than a day before a moment.
delete from sign_in_code where made_at < $1::timestamptz - interval '1 day';

-- name: answer
-- Take an answer of a provider, unless its state was used before: (state, expires_at).
insert into sign_in_answer (state_sha256, expires_at) values ($1, $2) on conflict do nothing returning state_sha256;

-- name: forget_answers
-- Delete answers whose state is of no use any more.
delete from sign_in_answer where expires_at < $1;
