-- How far the journal is followed by what holds progress against duty
--
-- A pause or an end that is told late takes progress back. Every process follows the journal for that and does the same; how far
-- one of them came is noted here now and then, so that a start goes on from there and need not look at every run of eight days.

create table progress_cursor (
  shard smallint not null constraint progress_cursor_pk primary key,
  day date not null,
  pos bigint not null
);
