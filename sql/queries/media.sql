-- purpose: orders

-- name: want
-- Write down that a fact names a picture: (sha256, event, handler, subject, field, purpose, site, shared, occurred at).
insert into media_want (sha256, event, handler, subject, field, purpose, month, site, shared, wanted_at, occurred_at)
values (decode($1::text, 'hex'), $2::uuid, $3, $4, $5, $6, date_trunc('month', now() at time zone 'UTC')::date, $7, $8, now(), $9::timestamptz)
on conflict do nothing;

-- name: read
-- Read what is known of a picture.
select sha256, object, kept_sha256, media_type, size, width, height, device, sealed_key, arrived_at from media where sha256 = $1;

-- name: keep
-- Keep a picture, unless one of this name is there: the first bytes win.
insert into media (sha256, object, kept_sha256, media_type, size, width, height, device, sealed_key, arrived_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now())
on conflict (sha256) do nothing
returning sha256;

-- name: to_link
-- Find facts that wait for a picture which is there, with whose key seals it; of one picture, or of any (null).
select want.sha256, want.event, want.handler, want.subject, want.field, media.sealed_key,
  coalesce(head.person, want.subject) as person, want.occurred_at
from media_want as want
join media on media.sha256 = want.sha256
left join subject_head as head on head.subject = want.subject
where want.linked_at is null and ($1::bytea is null or want.sha256 = $1)
  and (media.sealed_key is not null or exists (
    select from media_want as other join person_key on person_key.key_id = other.key_id and person_key.destroyed_at is null
    where other.sha256 = want.sha256 and other.linked_at is not null))
limit $2
for update of want skip locked;

-- name: link
-- Note the sealed keys of pictures for the facts that name them.
update media_want set key_id = linked.key_id, sealed_key = linked.sealed_key, linked_at = now()
from unnest($1::bytea[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::bytea[])
  as linked (sha256, event, subject, field, key_id, sealed_key)
where media_want.sha256 = linked.sha256 and media_want.event = linked.event and media_want.subject = linked.subject
  and media_want.field = linked.field;

-- name: forget_keys
-- Forget the keys under the master key of pictures that a person's key holds now.
update media set sealed_key = null where sha256 = any($1::bytea[]) and sealed_key is not null;

-- name: live_key
-- Find a key of a picture that can still be opened.
select want.sealed_key, person_key.person, person_key.key_id, person_key.wrapped
from media_want as want
join person_key on person_key.key_id = want.key_id and person_key.destroyed_at is null
where want.sha256 = $1 and want.linked_at is not null
limit 1;

-- name: wants
-- Say who may see a picture: the site and the account of each fact that names it.
select want.site, want.purpose, want.shared, head.account
from media_want as want left join subject_head as head on head.subject = want.subject
where want.sha256 = $1;

-- name: leave_with_events
-- Forget the wants whose events' sealed parts were dropped, or whose person was erased.
delete from media_want
where (purpose, month) in (
    select kept.purpose, kept.month from (select distinct purpose, month from media_want) as kept
    where to_regclass(format('sealed_%s_%s', kept.purpose, to_char(kept.month, 'YYYYMM'))) is null)
  or key_id in (select person_key.key_id from person_key where person_key.destroyed_at is not null);

-- name: unwanted
-- Forget pictures that came before a moment and that nothing wants; return their objects.
delete from media
where sha256 in (
  select media.sha256 from media
  where media.arrived_at < $1 and not exists (select from media_want where media_want.sha256 = media.sha256)
  limit 1000)
returning object;

-- name: known_objects
-- Find which of these objects belong to a picture.
select object from media where object = any($1::text[]);

-- name: of_events
-- Find the pictures of personal fields that are there and that these events name: (events[], site, null = any).
select distinct want.event, want.subject, want.sha256
from media_want as want join media on media.sha256 = want.sha256
where want.event = any($1::uuid[]) and want.purpose = 'personal' and ($2::text is null or want.site = $2)
order by want.event, want.sha256;
