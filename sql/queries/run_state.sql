-- purpose: rounds

-- name: wait_briefly
-- Wait for a locked run no longer than two seconds in this transaction.
set local lock_timeout = '2s';

-- name: lock
-- Lock what is known of a run's progress.
select matcher, through_at, distance_along_m, status from run_state where run = $1 for update;

-- name: lock_several
-- Lock what is known of several runs' progress, in the order of their ids.
select run, matcher, through_at, distance_along_m, status from run_state where run = any($1::text[]) order by run for update;

-- name: lock_unknown
-- Lock a run of which nothing is known yet, until the end of the transaction.
select pg_advisory_xact_lock(hashtextextended($1, 8120));

-- name: lock_unknown_of_several
-- Lock those of several runs of which nothing is known yet, in the order of their ids (offset 0), until the end of the transaction.
select pg_advisory_xact_lock(hashtextextended(run, 8120))
from (select run from unnest($1::text[]) as wanted (run) order by run offset 0) as unknown;

-- name: duty_of_unknown
-- Read what the journal decided about the duty of several runs, but of those of which something is known by now.
select wanted.run, (select body from state where handler = 'run' and subject = 'run/' || wanted.run) as duty
from unnest($1::text[]) as wanted (run)
where not exists (select 1 from run_state where run_state.run = wanted.run);

-- name: add
-- Begin to know something of a run: (run, day).
insert into run_state (run, day, updated_at) values ($1, $2, clock_timestamp()) on conflict do nothing;

-- name: add_several
-- Begin to know something of several runs: (runs[], days[]).
insert into run_state (run, day, updated_at)
select run, day, clock_timestamp() from unnest($1::text[], $2::date[]) as new (run, day) order by run
on conflict do nothing;

-- name: duty
-- Read what the journal decided about a run's duty, as committed.
select body from state where handler = 'run' and subject = 'run/' || $1::text;

-- name: move
-- Note where a run is: (run, matcher, through_at, distance_along_m, status).
update run_state set matcher = $2, through_at = $3, distance_along_m = $4, status = $5, version = version + 1,
  updated_at = clock_timestamp()
where run = $1;

-- name: forget_before
-- Forget the runs of days before this one.
delete from run_state where day < $1;
