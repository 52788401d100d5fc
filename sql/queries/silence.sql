-- purpose: rounds

-- name: runs
-- Read the runs from a day on that are at work, or whose silence is still open: duty, newest moment, and what is known of the stretch where it was.
select run.id, run.round_id, run.site, run.state, state.body, last.at, stretch.passed, stretch.silent, stretch.gap_s, open.id is not null as is_open
from run
join round on round.id = run.round_id
left join state on state.handler = 'run' and state.subject = 'run/' || run.id
left join lateral (
  select progress.at from progress where progress.day = run.day and progress.run = run.id order by progress.at desc limit 1
) as last on true
left join run_state on run_state.run = run.id
left join silent_stretch as stretch on stretch.round_id = run.round_id and stretch.version = round.version
  and stretch.bucket = floor(run_state.distance_along_m / 200)::integer
left join alert as open on open.subject = 'run/' || run.id and open.type = 'silence.began' and open.settled_at is null
where run.day >= $1 and (run.state = 'started' or open.id is not null)
order by run.id;

-- name: waiting
-- List the runs that ended long enough ago and whose silences were not learned yet, oldest first: (settled_s, limit).
select run.id from run
where run.state = 'ended' and run.state_at < now() - make_interval(secs => $1) and run.day > current_date - 60
  and not exists (select 1 from silence_learned where silence_learned.run = run.id)
order by run.state_at limit $2;

-- name: claim
-- Take a run's silences in, unless that is done; the version of its round, or null where the plan was changed since it began.
with taken as (
  insert into silence_learned (run, at) select id, now() from run where id = $1 and state = 'ended' on conflict do nothing returning run
)
select run.day, run.round_id, case when round.version = 1 or round.changed_at < (
    select min(progress.at) from progress where progress.day = run.day and progress.run = run.id) then round.version end as version,
  (select body from state where handler = 'run' and subject = 'run/' || run.id) as body
from taken join run on run.id = taken.run left join round on round.id = run.round_id;

-- name: forget_before
-- Forget which runs were taken in before a day.
delete from silence_learned where at < $1::date;

-- name: learn
-- Add a run to what is known of its round: (round_id, version, buckets, gaps), a gap of null where it was heard. What is old counts half.
insert into silent_stretch (round_id, bucket, version, passed, silent, gap_s)
select $1, bucket, $2::bigint, 1, (gap is not null)::integer, coalesce(gap, 0)
from unnest($3::integer[], $4::double precision[]) as new (bucket, gap)
on conflict (round_id, bucket) do update set version = excluded.version,
  passed = case when silent_stretch.version <> excluded.version then 1
    when silent_stretch.passed >= 60 then silent_stretch.passed / 2 + 1 else silent_stretch.passed + 1 end,
  silent = case when silent_stretch.version <> excluded.version then excluded.silent
    when silent_stretch.passed >= 60 then silent_stretch.silent / 2 + excluded.silent else silent_stretch.silent + excluded.silent end,
  gap_s = case when silent_stretch.version <> excluded.version or silent_stretch.silent = 0 then excluded.gap_s
    when excluded.silent = 0 then silent_stretch.gap_s
    else (silent_stretch.gap_s * silent_stretch.silent + excluded.gap_s) / (silent_stretch.silent + 1) end;
