-- purpose: rounds

-- name: keep
-- Forget the instructions of a run that its story does not have, and raise the version of its sheet: (run_id, events).
with gone as (
  delete from instruction where run = $1 and not (event = any($2::uuid[]))
)
update run set version = version + 1 where id = $1;

-- name: write
-- Keep one instruction: (event, run, stop_id, given_at, sealed).
insert into instruction (event, run, stop_id, given_at, sealed) values ($1::uuid, $2, $3, $4::timestamptz, $5::bytea)
on conflict (event) do update set run = excluded.run, stop_id = excluded.stop_id, given_at = excluded.given_at, sealed = excluded.sealed;

-- name: of_run
-- Read the instructions for a run, in the order in which they were given.
select stop_id, given_at, sealed from instruction where run = $1 order by given_at, event;

-- name: of_events
-- Read the instructions that were given by these events, as they stand now.
select event, sealed from instruction where event = any($1::uuid[]);
