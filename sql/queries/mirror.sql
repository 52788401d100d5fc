-- purpose: rights of persons

-- name: runs
-- List the runs that a carrier of a site walked, oldest first, with the state that says when they were on duty: (carrier, site, from).
select run.id, run.day, run.state, state.body
from run left join state on state.handler = 'run' and state.subject = 'run/' || run.id
where run.carrier = $1 and run.site = $2 and run.day >= $3::date order by run.day, run.id;

-- name: progress
-- Read what is kept of how far these runs were, in order: (days[], runs[]).
select progress.run, progress.at, progress.distance_along_m, progress.status, progress.received_at
from unnest($1::date[], $2::text[]) as own (day, run)
join progress on progress.day = own.day and progress.run = own.run
order by own.day, own.run, progress.at;

-- name: tracks
-- Read what is kept of fixes as they came, in order: (days[], runs[]).
select track.run, track.at, track.lat, track.lon, track.accuracy_m
from unnest($1::date[], $2::text[]) as own (day, run)
join track on track.day = own.day and track.run = own.run
order by own.day, own.run, track.at;

-- name: devices
-- List the phones that a carrier of a site had: (carrier, site).
select id, enrolled_at, revoked_at, lost_at from device where carrier = $1 and site = $2 order by id;

-- name: receipts
-- Read what these phones were told that it was taken: (devices[]).
select body from receipt where device = any($1::text[]) order by device, no;

-- name: events
-- Read the field events of these ids that the journal has, oldest first: (ids[], received from).
select event.id, event.type, event.subject, event.run, event.occurred_at, event.received_at
from event_id join event on event.day = event_id.day and event.shard = event_id.shard and event.pos = event_id.pos
where event_id.id = any($1::uuid[]) and event.received_at >= $2 order by event.occurred_at, event.id;
