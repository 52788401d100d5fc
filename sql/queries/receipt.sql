-- purpose: journal

-- name: lock_devices
-- Lock the devices of a batch, in order, and read the end of their receipt chains.
select id, receipt_no, receipt_hash from device where id = any($1::text[]) order by id for no key update;

-- name: move_devices
-- Write the new ends of the receipt chains.
update device
set receipt_no = new.no, receipt_hash = new.hash
from unnest($1::text[], $2::bigint[], $3::bytea[]) as new (id, no, hash)
where device.id = new.id;

-- name: of_device
-- List a device's receipts, newest first, before a number.
select device, no, at, previous, body, signature from receipt where device = $1 and no < $2 order by no desc limit $3;

-- name: of_device_near
-- Read the bodies of a device's receipts between two moments.
select body from receipt where device = $1 and at between $2 and $3;
