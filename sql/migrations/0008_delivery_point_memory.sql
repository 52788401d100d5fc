-- Delivery-point memory: where a letterbox and a door really are, and when the point was last served
--
-- Learned from proofs in the journal, which keep their fix sealed; nothing of a carrier and no time finer than the day comes
-- here. `door` and `box` are small memories (geo/delivery_points.py): the planned place in millionths of a degree, and of at
-- most 32 proofs the day, the whole metres from there, and the accuracy. `moved_on` repeats theirs, to be found by it.
-- `served_on` are the last sixteen days on which somebody served the point, in order.
--
-- `delivery_point_cursor` is how far each shard of the journal has been learned; it moves in the transaction that writes what
-- was learned, so that nothing is learned twice or left out, whoever learns and whenever it is stopped.

create table delivery_point_memory (
  delivery_point_id text not null constraint delivery_point_memory_pk primary key,
  door bytea,
  box bytea,
  moved_on date,
  served_on date[] not null,
  last_served_on date not null
);

create table delivery_point_cursor (
  shard smallint not null constraint delivery_point_cursor_pk primary key,
  day date not null,
  pos bigint not null
);
