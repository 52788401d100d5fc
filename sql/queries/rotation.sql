-- purpose: rights of persons

-- name: person_keys
-- Read wrapped keys of persons behind a key, in order.
select key_id, person, wrapped as blob from person_key where key_id > $1 and wrapped is not null order by key_id limit $2;

-- name: put_person_keys
-- Wrap keys of persons anew, where they are still what was read: a destroyed one stays destroyed.
update person_key set wrapped = anew.blob
from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as anew (key_id, was, blob)
where person_key.key_id = anew.key_id and person_key.wrapped = anew.was;

-- name: quarantine
-- Read bodies in quarantine behind an id.
select id, body as blob from quarantine where id > $1 order by id limit $2;

-- name: put_quarantine
-- Seal bodies in quarantine anew.
update quarantine set body = anew.blob
from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as anew (id, was, blob)
where quarantine.id = anew.id and quarantine.body = anew.was;

-- name: media
-- Read keys of pictures that no fact holds yet.
select sha256, sealed_key as blob from media where sha256 > $1 and sealed_key is not null order by sha256 limit $2;

-- name: put_media
-- Wrap keys of pictures anew.
update media set sealed_key = anew.blob
from unnest($1::bytea[], $2::bytea[], $3::bytea[]) as anew (sha256, was, blob)
where media.sha256 = anew.sha256 and media.sealed_key = anew.was;

-- name: endpoints
-- Read the signing keys of endpoints behind a place.
select endpoint || ' ' || no as place, endpoint, sealed as blob from endpoint_secret
where endpoint || ' ' || no > $1 order by endpoint || ' ' || no limit $2;

-- name: put_endpoints
-- Seal signing keys of endpoints anew.
update endpoint_secret set sealed = anew.blob
from unnest($1::text[], $2::bytea[], $3::bytea[]) as anew (place, was, blob)
where endpoint_secret.endpoint || ' ' || endpoint_secret.no = anew.place and endpoint_secret.sealed = anew.was;

-- name: headers
-- Read the headers of endpoints behind a place.
select id as endpoint, sealed_headers as blob from endpoint
where id > $1 and sealed_headers is not null order by id limit $2;

-- name: put_headers
-- Seal headers of endpoints anew.
update endpoint set sealed_headers = anew.blob, version = version + 1
from unnest($1::text[], $2::bytea[], $3::bytea[]) as anew (id, was, blob)
where endpoint.id = anew.id and endpoint.sealed_headers = anew.was;

-- name: months
-- Read the keys of the reports' months behind a month.
select month, key as blob from report_month where month > $1 and key is not null order by month limit $2;

-- name: put_months
-- Wrap keys of months anew.
update report_month set key = anew.blob
from unnest($1::date[], $2::bytea[], $3::bytea[]) as anew (month, was, blob)
where report_month.month = anew.month and report_month.key = anew.was;

-- name: put_store
-- Wrap the store's own keys anew: (content key was, is, signing key was, is).
update store set content_key = $2, signing_key = $4 where content_key = $1 and signing_key = $3;
