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

-- name: counted
-- Count what became of what a run took, as it was reconciled last (run.reconcile); nothing as long as it was not: (run).
select run.reconciled_at as at, count(thing) as taken,
  count(thing) filter (where place = 'carrier') as missing,
  count(thing) filter (where place = 'office' and thing like 'item/%') as held,
  count(thing) filter (where place in ('pharmacy', 'safe', 'sender') or (place = 'office' and thing not like 'item/%')) as brought_back,
  count(thing) filter (where place not in ('carrier', 'office', 'pharmacy', 'safe', 'sender')) as delivered
from run left join run_thing on run_thing.run = run.id and thing ~ '^(item|pouch|key)/'
where run.id = $1 and run.reconciled_at is not null
group by run.reconciled_at;

-- name: forget_before
-- Forget what runs took and of which nothing was heard since.
delete from run_thing where at < $1;
