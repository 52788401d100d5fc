-- purpose: orders

-- name: move
-- Note where a thing is now: (thing, run, place, at); the run is null where nobody's round had it. What was missing, or is now, is counted again; what another run takes is not that of the run that brought it back.
with known as (
  select run, place from run_thing where thing = $1
), elsewhere as (
  update run_thing set place = $3, at = $4 where thing = $1 and run is distinct from $2::text and place is distinct from $3
    and ($3 <> 'carrier' or $2::text is null)
), again as (
  insert into timer (id, due_at, handler, kind, subject, key, payload)
  select new_uuid7(), $4::timestamptz + interval '1 minute', 'run', 'reconcile', 'run/' || run.id, '', '{}'::jsonb
  from run
  where run.reconciled_at is not null and (
    run.id in (select known.run from known where case when $3 = 'carrier'
      then known.place <> 'carrier' and coalesce($2::text, known.run) = known.run else known.place = 'carrier' end)
    or (run.id = $2::text and run.id not in (select known.run from known)))
  on conflict (handler, kind, subject, key) do update set id = excluded.id, due_at = excluded.due_at
)
insert into run_thing (run, thing, place, at)
select $2::text, $1, $3, $4::timestamptz where $2::text is not null
on conflict (run, thing) do update set place = excluded.place, at = excluded.at;

-- name: forget_before
-- Forget what runs took and of which nothing was heard since.
delete from run_thing where at < $1;
