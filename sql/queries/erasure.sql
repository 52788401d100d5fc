-- purpose: rights of persons

-- name: destroy
-- Destroy every live key of a person, and of what was said of their things before it was known whose they are: (id, digest, person, at).
with gone as (
  update person_key set wrapped = null, destroyed_at = $4::timestamptz
  where destroyed_at is null and (person = $3 or person in (
    select head.subject from subject_head as head where head.person = $3 and head.subject not like 'delivery\_point/%'))
  returning key_id
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

-- name: places
-- Find the doors of a person's orders under whose own keys something is sealed: what was asked there, contacts, reports.
select distinct key.person as place
from task join person_key as key on key.person = 'delivery_point/' || task.delivery_point and key.destroyed_at is null
where (task.subject = $1 or task.subject in (select subject from subject_head where person = $1)) and key.person <> $1
order by place;

-- name: has_key
-- Has anything been sealed for a person: now, and before an earlier erasure?
select count(*) filter (where destroyed_at is null) > 0 as live, count(*) > 0 as ever from person_key where person = $1;

-- name: all
-- Read every erasure, the oldest first.
select id, digest, key_ids, at from erasure order by at, id;

-- name: count
-- Count the erasures.
select count(*) from erasure;

-- name: things
-- Find what these erasures destroyed keys of, and what was about the same persons without a key of its own, places apart.
select erasure.id, erasure.at, erasure.digest, gone.person as name
from erasure join person_key as gone on gone.key_id = any(erasure.key_ids) where erasure.id = any($1::uuid[])
union
select erasure.id, erasure.at, erasure.digest, head.subject
from erasure join person_key as gone on gone.key_id = any(erasure.key_ids) join subject_head as head on head.person = gone.person
where erasure.id = any($1::uuid[]) and head.subject not like 'delivery\_point/%'
order by at, name;

-- name: note_things
-- Note that things were erased with their persons: (ids, digests, at).
insert into erasure (id, digest, key_ids, at)
select thing.id, thing.digest, '{}', thing.at from unnest($1::uuid[], $2::bytea[], $3::timestamptz[]) as thing (id, digest, at)
on conflict (id) do nothing;

-- name: known
-- Find which of these erasures the store knows.
select id from erasure where id = any($1::uuid[]);

-- name: again
-- Erase again what a restored copy brought back: (id, digest, key ids, at). Return whom or what the keys belonged to, and whose that is.
with noted as (
  insert into erasure (id, digest, key_ids, at) values ($1, $2, $3::uuid[], $4) on conflict (id) do nothing
)
update person_key set wrapped = null, destroyed_at = $4 where key_id = any($3::uuid[]) and destroyed_at is null
returning person, (select head.person from subject_head as head where head.subject = person_key.person) as owner;
