-- Streams: how far each shard has come on its way to the broker
--
-- Only used where FIELDSVC_NATS_URL is set. One row a shard, owned by lease like an endpoint's lane. The truth about what the
-- broker holds is the broker's own last message, which carries its place in the journal; what is here says what it last
-- acknowledged, so that a stream that was emptied, cut, swapped or kept by another store can be told from one that is right.

create table stream_lane (
  shard smallint not null constraint stream_lane_pk primary key,
  owner uuid,
  epoch bigint not null default 0,
  leased_until timestamptz not null,
  store_epoch uuid,
  day date,
  pos bigint,
  sequence bigint,
  stream_made_at text,
  constraint stream_lane_acknowledged check (
    num_nulls(store_epoch, day, pos, sequence, stream_made_at) in (0, 5)
  )
) with (fillfactor = 50);
