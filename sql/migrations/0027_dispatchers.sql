-- Dispatchers: which processes send to endpoints now, so that each takes its share of the lanes
--
-- A process that owns nothing yet cannot be seen by its leases. It says here that it is there; whoever has more lanes than its
-- share gives some up in good order. Nothing depends on it for correctness: a lane belongs to its lease and epoch alone.

create table dispatcher (
  owner uuid not null constraint dispatcher_pk primary key,
  seen_at timestamptz not null
) with (fillfactor = 50);
