-- purpose: who is calling

-- name: issue
-- Keep a one-time code: its ticket as it is, its secret as a hash.
insert into enrolment (ticket, secret_sha256, carrier, site, round_id, created_by, expires_at, replaces)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: attempt
-- Count one try against a code that is still good, and return it with the row locked.
update enrolment set tries_left = tries_left - 1
where ticket = $1 and used_at is null and tries_left > 0 and expires_at > now()
returning secret_sha256, carrier, site, round_id, tries_left, replaces;

-- name: settle
-- Note the device that a code became.
update enrolment set used_at = now(), device = $2 where ticket = $1;

-- name: forget_old
-- Delete codes that ended more than a day ago.
delete from enrolment where expires_at < now() - interval '1 day';
