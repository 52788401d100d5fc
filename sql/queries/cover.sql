-- purpose: planning of work

-- name: runs
-- Read the runs of a site on a day as cover needs them: (site, day).
select run.id, run.round_id, run.carrier, run.state, run.starts_at,
  coalesce(roster.qualifications, '{}') || coalesce(able.qualifications, '{}') as qualifications,
  (run.version + round.version + coalesce(
    (select sum(task.changes) from task where task.day = run.day and task.round_id = run.round_id), 0))::bigint as sheet_version,
  run_state.through_at, run_state.distance_along_m, run_state.status, state.body, learned_time.body as learned
from run
join round on round.id = run.round_id
left join roster on roster.day = run.day and roster.round_id = run.round_id and roster.carrier = run.carrier
left join carrier_of_site as able on able.site = run.site and able.carrier = run.carrier
left join run_state on run_state.run = run.id
left join state on state.handler = 'run' and state.subject = 'run/' || run.id
left join learned_time on learned_time.round_id = run.round_id
where run.site = $1 and run.day = $2
order by run.id;

-- name: tasks
-- Read the open tasks of rounds on a day with their stops, if they have one there: (rounds, day).
select task.id, task.service, task.subject, task.round_id, task.window_from, task.window_until, task.requirements, stop.stop_id
from task
left join stop on stop.round_id = task.round_id and stop.delivery_point_id = task.delivery_point
where task.day = $2 and task.round_id = any($1::text[]) and task.state = 'planned'
order by task.id;

-- name: moved
-- Read the stops that moved between the runs of a day, of these rounds or to them: (rounds, day).
select round_id, stop_id, to_round from stop_move where day = $2 and (round_id = any($1::text[]) or to_round = any($1::text[]));

-- name: known_by
-- Who knows each of these rounds on a day? (rounds, day).
select wanted.round_id, array(select regular_carriers(wanted.round_id, $2::date)) as carriers
from unnest($1::text[]) as wanted (round_id);

-- name: keep
-- Keep a proposal: (id, site, day, body, marks).
insert into cover_proposal (id, site, day, made_at, body, marks) values ($1, $2, $3, now(), $4::jsonb, $5::jsonb);

-- name: forget_before
-- Forget the proposals of days before this one.
delete from cover_proposal where day < $1;

-- name: read
-- Read a proposal.
select id, site, day, body, marks, confirmed_at from cover_proposal where id = $1;

-- name: lock_day
-- Let one request at a time confirm proposals of a site's day, until its transaction ends.
select pg_advisory_xact_lock(hashtextextended(site || ' ' || day, 8112)) from cover_proposal where id = $1;

-- name: claim
-- Let one request confirm a proposal; nothing if it was confirmed, or another of its day since it was made.
update cover_proposal as mine set confirmed_at = clock_timestamp()
where id = $1 and confirmed_at is null and not exists (
  select 1 from cover_proposal as other
  where other.day = mine.day and other.site = mine.site and other.confirmed_at >= mine.made_at
)
returning id;

-- name: release
-- Give a proposal back whose confirmation came to nothing.
update cover_proposal set confirmed_at = null where id = $1;

-- name: tell_face
-- Tell the visits of stops that went to another run whether the usual carrier comes: (from, to, stops, usual or substitute, at).
insert into timer (id, due_at, handler, kind, subject, key, payload)
select new_uuid7(), $5::timestamptz, task.service, 'face', task.subject, task.id,
  jsonb_build_object('visitor', $4::text, 'task_id', task.id, 'run_id', taker.id)
from run as giver join run as taker on taker.id = $2 and taker.day = giver.day
join task on task.day = taker.day and task.round_id = taker.round_id
where giver.id = $1 and task.service = 'home_visit' and task.state = 'planned' and task.delivery_point in (
  select stop.delivery_point_id from stop where stop.round_id = giver.round_id and stop.stop_id = any($3::text[]))
on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at, payload = excluded.payload;
