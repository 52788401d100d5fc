-- purpose: rights of persons

-- name: destroy
-- Destroy every live key of a person and note the erasure: (id, digest, person, at). What was sealed with them can never be read.
with gone as (
  update person_key set wrapped = null, destroyed_at = $4::timestamptz where person = $3 and destroyed_at is null returning key_id
)
insert into erasure (id, digest, key_ids, at)
select $1::uuid, $2::bytea, coalesce(array_agg(gone.key_id), '{}'), $4::timestamptz from gone
on conflict (id) do nothing;

-- name: empty_notices
-- Forget the words of the notices that a person's destroyed keys sealed; who waits to be sent is not.
update notice set sealed = null, state = case when state = 'queued' then 'not_sent' else state end,
  reason = case when state = 'queued' then 'erased' else reason end, settled_at = coalesce(settled_at, now())
where sealed is not null and substring(sealed from 1 for 16) in (
  select uuid_send(key_id) from person_key where person = $1 and destroyed_at is not null);

-- name: forget_pictures
-- Forget which facts about a person named which pictures, and the keys of pictures that waited for nothing else.
with gone as (
  delete from media_want
  where key_id in (select key_id from person_key where person = $1 and destroyed_at is not null)
    or (linked_at is null and (subject = $1 or subject in (select subject from subject_head where person = $1)))
  returning sha256, event, subject, field
)
update media set sealed_key = null
where sealed_key is not null and sha256 in (select gone.sha256 from gone)
  and not exists (
    select from media_want where media_want.sha256 = media.sha256
      and (media_want.event, media_want.subject, media_want.field) not in (select gone.event, gone.subject, gone.field from gone));

-- name: renew_sheets
-- Give the sheets of today and later on which a person stands a new version, so that phones fetch them without.
update task set changes = changes + 1
where day >= (now() at time zone 'UTC')::date - 1 and substring(sealed from 1 for 16) in (
  select uuid_send(key_id) from person_key where person = $1 and destroyed_at is not null);

-- name: subjects
-- Find the subjects that are about a person, and whose they are.
select subject, account from subject_head where person = $1 or subject = $1 order by subject;

-- name: has_key
-- Has anything been sealed for a person: now, and before an earlier erasure?
select count(*) filter (where destroyed_at is null) > 0 as live, count(*) > 0 as ever from person_key where person = $1;

-- name: all
-- Read every erasure, the oldest first.
select id, digest, key_ids, at from erasure order by at, id;

-- name: count
-- Count the erasures.
select count(*) from erasure;

-- name: known
-- Find which of these erasures the store knows.
select id from erasure where id = any($1::uuid[]);

-- name: again
-- Erase again what a restored copy brought back: (id, digest, key ids, at). Return whom the keys belonged to.
with noted as (
  insert into erasure (id, digest, key_ids, at) values ($1, $2, $3::uuid[], $4) on conflict (id) do nothing
)
update person_key set wrapped = null, destroyed_at = $4 where key_id = any($3::uuid[]) and destroyed_at is null returning person;
