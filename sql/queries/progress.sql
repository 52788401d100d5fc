-- purpose: rounds

-- name: with_duty
-- Read what the journal decided about a run's duty, and its progress between two moments: (day, run, first, last).
select (select body from state where handler = 'run' and subject = 'run/' || $2::text) as duty,
  array_agg(at order by at) as at, array_agg(distance_along_m order by at) as along, array_agg(status order by at) as status
from progress
where day = $1 and run = $2::text and at >= $3 and at <= $4;

-- name: with_duty_of_several
-- Read for each of several runs what `with_duty` does: (days[], runs[], firsts[], lasts[]). Each is looked up (offset 0).
select wanted.run, (select body from state where handler = 'run' and subject = 'run/' || wanted.run) as duty,
  known.at, known.along, known.status
from unnest($1::date[], $2::text[], $3::timestamptz[], $4::timestamptz[]) as wanted (day, run, first, last)
cross join lateral (
  select array_agg(at order by at) as at, array_agg(distance_along_m order by at) as along, array_agg(status order by at) as status
  from progress
  where progress.day = wanted.day and progress.run = wanted.run and at >= wanted.first and at <= wanted.last offset 0
) as known;

-- name: add
-- Add progress of a run: (day, run, received_at, at[], distance_along_m[], status[]). What is known stays.
insert into progress (day, run, at, distance_along_m, status, received_at)
select $1, $2, at, distance_along_m, status, $3
from unnest($4::timestamptz[], $5::float8[], $6::text[]) as new (at, distance_along_m, status)
on conflict do nothing;

-- name: add_and_move
-- Add progress of a run, and note where it is now: what `add` and `run_state.move` take, with the run and the day once.
with added as (
  insert into progress (day, run, at, distance_along_m, status, received_at)
  select $1, $2, at, distance_along_m, status, $3
  from unnest($4::timestamptz[], $5::float8[], $6::text[]) as new (at, distance_along_m, status)
  on conflict do nothing
)
update run_state set matcher = $7, through_at = $8, distance_along_m = $9, status = $10, version = version + 1,
  updated_at = clock_timestamp()
where run = $2;

-- name: add_and_move_several
-- Add progress of several runs, and note where those that moved are now: what `add` and `run_state.move` take, in columns.
with added as (
  insert into progress (day, run, at, distance_along_m, status, received_at)
  select day, run, at, distance_along_m, status, received_at
  from unnest($1::date[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::float8[], $6::text[])
    as new (day, run, received_at, at, distance_along_m, status)
  on conflict do nothing
)
update run_state set matcher = newest.matcher, through_at = newest.through_at, distance_along_m = newest.distance_along_m,
  status = newest.status, version = run_state.version + 1, updated_at = clock_timestamp()
from unnest($7::text[], $8::bytea[], $9::timestamptz[], $10::float8[], $11::text[])
  as newest (run, matcher, through_at, distance_along_m, status)
where run_state.run = newest.run;

-- name: correct_several
-- Put known moments of several runs at other places: (day[], run[], at[], distance_along_m[], status[]).
update progress set distance_along_m = new.distance_along_m, status = new.status
from unnest($1::date[], $2::text[], $3::timestamptz[], $4::float8[], $5::text[]) as new (day, run, at, distance_along_m, status)
where progress.day = new.day and progress.run = new.run and progress.at = new.at;

-- name: correct
-- Put known moments of a run at other places: (day, run, at[], distance_along_m[], status[]).
update progress set distance_along_m = new.distance_along_m, status = new.status
from unnest($3::timestamptz[], $4::float8[], $5::text[]) as new (at, distance_along_m, status)
where progress.day = $1 and progress.run = $2 and progress.at = new.at;

-- name: add_anchor
-- Add a moment at a stop, which counts more than a fix: (day, run, at, distance_along_m, received_at). Nothing if it is known.
insert into progress (day, run, at, distance_along_m, status, received_at) values ($1, $2, $3, $4, 'at_stop', $5)
on conflict (day, run, at) do update set distance_along_m = excluded.distance_along_m, status = excluded.status
where (progress.distance_along_m, progress.status) is distinct from (excluded.distance_along_m, excluded.status)
returning at;

-- name: newest
-- Find the newest moment of a run, and its last place on the line, which may be older.
select
  (select at from progress where day = $1 and run = $2 order by at desc limit 1) as at,
  (select distance_along_m from progress where day = $1 and run = $2 and distance_along_m is not null
   order by at desc limit 1) as distance_along_m;

-- name: heard
-- Find when the newest position of a run was taken: (day, run). A moment at a stop may be a scan, and does not count.
select at from progress where day = $1 and run = $2 and status <> 'at_stop' order by at desc limit 1;

-- name: withdraw
-- Take back progress of a run outside the times on duty: (day, run, from[], until[]).
delete from progress
where day = $1 and run = $2
  and not exists (
    select 1 from unnest($3::timestamptz[], $4::timestamptz[]) as duty (first, until)
    where progress.at >= duty.first and progress.at < duty.until
  )
returning at;

-- name: runs_from
-- List the runs of which something is known, from a day on.
select run from run_state where day >= $1 order by day, run;

-- name: cursors
-- Read how far the journal has been held against progress.
select shard, day, pos from progress_cursor order by shard;

-- name: move_cursors
-- Note how far the journal has been held against progress, never backwards: (shards[], days[], positions[]).
insert into progress_cursor as cursor (shard, day, pos)
select shard, day, pos from unnest($1::smallint[], $2::date[], $3::bigint[]) as new (shard, day, pos) order by shard
on conflict (shard) do update set day = excluded.day, pos = excluded.pos
where (excluded.day, excluded.pos) > (cursor.day, cursor.pos);

-- name: keep_fixes
-- Keep fixes as they came, where the operator keeps tracks: (day, run, at[], lat[], lon[], accuracy_m[]).
insert into track (day, run, at, lat, lon, accuracy_m)
select $1, $2, at, lat, lon, accuracy_m
from unnest($3::timestamptz[], $4::float8[], $5::float8[], $6::float8[]) as new (at, lat, lon, accuracy_m)
on conflict do nothing;

-- name: withdraw_fixes
-- Take back kept fixes of a run outside the times on duty: (day, run, from[], until[]).
delete from track
where day = $1 and run = $2
  and not exists (
    select 1 from unnest($3::timestamptz[], $4::timestamptz[]) as duty (first, until)
    where track.at >= duty.first and track.at < duty.until
  );
