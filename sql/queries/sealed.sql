-- purpose: orders

-- name: of_events
-- Read the sealed parts of events with their wrapped keys (null when destroyed).
select sealed.event_id, sealed.part, sealed.purpose, sealed.person, sealed.key_id, sealed.nonce, sealed.ciphertext, person_key.wrapped
from unnest($1::uuid[], $2::smallint[]) as wanted (event_id, part)
cross join unnest(array['personal', 'health', 'secret']) as purpose (name)
join sealed on sealed.purpose = purpose.name and sealed.event_id = wanted.event_id and sealed.part = wanted.part
left join person_key on person_key.person = sealed.person and person_key.key_id = sealed.key_id;
