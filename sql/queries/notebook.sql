-- purpose: orders

-- name: write
-- Keep one note: (event, delivery_point_id, kind, written_at, removed, sealed, run, carrier, trusted). Whoever knows the round is its regular carrier.
insert into notebook (event, delivery_point_id, kind, by_regular, written_at, removed, sealed)
select $1::uuid, $2, $3, $9::boolean or exists (
    select 1 from run
    where run.id = $7 and run.carrier = $8 and run.carrier in (select regular_carriers(run.round_id, run.day))
      and run.round_id in (
        select stop.round_id from stop where stop.delivery_point_id = $2
        union select delivery_point.round_id from delivery_point where delivery_point.id = $2)),
  $4::timestamptz, $5::boolean, $6::bytea
on conflict (event) do update set delivery_point_id = excluded.delivery_point_id, kind = excluded.kind,
  by_regular = excluded.by_regular, written_at = excluded.written_at, removed = excluded.removed,
  sealed = excluded.sealed;

-- name: keep
-- Forget the notes of a point that its story does not have: (delivery_point_id, events).
delete from notebook where delivery_point_id = $1 and not (event = any($2::uuid[]));

-- name: of_points
-- Read the newest notes of delivery points: of each kind one by a regular carrier and one by a substitute.
select distinct on (delivery_point_id, kind, by_regular) delivery_point_id, kind, by_regular, written_at, removed, sealed
from notebook where delivery_point_id = any($1::text[])
order by delivery_point_id, kind, by_regular, written_at desc, event desc;
