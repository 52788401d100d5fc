-- purpose: orders

-- name: load
-- Load the states of subjects, a handler each, with the wrapped keys of the sealed ones.
select state.handler, state.subject, state.person, state.key_id, state.nonce, state.body, state.version, person_key.wrapped
from unnest($1::text[], $2::text[]) as wanted (handler, subject)
join state on state.handler = wanted.handler and state.subject = wanted.subject
left join person_key on person_key.person = state.person and person_key.key_id = state.key_id;

-- name: save
-- Write the states of a batch.
insert into state (handler, subject, person, key_id, nonce, body, version)
select handler, subject, person, key_id, nonce, body, version
from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bytea[], $6::bytea[], $7::bigint[])
  as new (handler, subject, person, key_id, nonce, body, version)
on conflict (handler, subject) do update
set person = excluded.person, key_id = excluded.key_id, nonce = excluded.nonce, body = excluded.body, version = excluded.version;
