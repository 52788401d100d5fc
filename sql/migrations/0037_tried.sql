-- Wrong tries at what is secret, counted for every process, over a restart too
--
-- A row is a keyed digest of who tries or of what is tried, with how often it was wrong since a moment. A try counts before its
-- outcome is known and is taken back when it was right, so that many at once are no more than one after the other.

create table tried (
  digest bytea not null constraint tried_pk primary key,
  since timestamptz not null,
  tries integer not null
);

create index tried_by_age on tried (since);
