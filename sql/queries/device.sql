-- purpose: who is calling

-- name: by_tokens
-- Find the devices that tokens belong to, also revoked ones.
select token_sha256, id, carrier, site, round_id, passphrase, enrolled_at, revoked_at, lost_at
from device where token_sha256 = any($1::bytea[]);

-- name: by_id
-- Find a device by its id.
select id, carrier, site, round_id, passphrase, enrolled_at, revoked_at, lost_at from device where id = $1;

-- name: enrol
-- Make a device with the next number and return its id.
insert into device (id, carrier, site, round_id, token_sha256, passphrase, enrolled_at)
select 'd-' || case when number < 10000 then lpad(number::text, 4, '0') else number::text end, $1, $2, $3, $4, $5, now()
from nextval('device_number') as number
returning id;

-- name: revoke
-- Refuse a device from now on; one that was revoked before keeps its time.
update device set revoked_at = coalesce(revoked_at, now()) where id = $1 returning id;

-- name: report_lost
-- Note since when a device is out of its carrier's hands; the earliest time said counts.
update device set lost_at = least(lost_at, $2::timestamptz) where id = $1 returning id;

-- name: receipts
-- Page through the receipts of a device, oldest first.
select no, at, previous, body, signature from receipt where device = $1 and no > $2 order by no limit $3;
