-- Publishing: endpoints, how far each has come, and what waits
--
-- An endpoint reads the journal itself: `cursor` says, per shard, up to where everything that it may see was acknowledged,
-- parked or recorded as dead. A subject whose oldest event fails is `parked` alone; later events of it go to `lane_backlog`,
-- so rows exist there only for subjects that fail. All of it is written by the owner of the endpoint's `lane`, and every
-- write names the owner's epoch: who lost the lane can write nothing. An endpoint that fails as a whole costs nothing: its
-- cursor stands still.

create table endpoint (
  id text not null constraint endpoint_pk primary key,
  account text not null,
  url text not null,
  types text[] not null,
  thin boolean not null default false,
  state text not null default 'active' constraint endpoint_state check (state in ('active', 'paused', 'disabled')),
  reason text,
  stopped_at timestamptz,
  version bigint not null default 1,
  created_at timestamptz not null,
  constraint endpoint_stopped check ((state = 'active') = (stopped_at is null))
) with (fillfactor = 70);

create index endpoint_by_account on endpoint (account, id);

create table endpoint_secret (
  endpoint text not null constraint endpoint_secret_endpoint references endpoint on delete cascade,
  no integer not null,
  sealed bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  constraint endpoint_secret_pk primary key (endpoint, no)
);

create table lane (
  endpoint text not null constraint lane_pk primary key constraint lane_endpoint references endpoint on delete cascade,
  owner uuid,
  epoch bigint not null default 0,
  leased_until timestamptz not null,
  opened_at timestamptz,
  probe_at timestamptz,
  step integer not null default 0,
  held_until timestamptz
) with (fillfactor = 50);

create table cursor (
  endpoint text not null constraint cursor_endpoint references endpoint on delete cascade,
  shard smallint not null,
  day date not null,
  pos bigint not null,
  constraint cursor_pk primary key (endpoint, shard)
) with (fillfactor = 50);

create table parked (
  endpoint text not null constraint parked_endpoint references endpoint on delete cascade,
  subject text not null,
  shard smallint not null,
  day date not null,
  pos bigint not null,
  attempts integer not null,
  next_at timestamptz not null,
  reason text not null,
  since timestamptz not null,
  constraint parked_pk primary key (endpoint, subject)
) with (fillfactor = 50);

create table lane_backlog (
  endpoint text not null constraint lane_backlog_endpoint references endpoint on delete cascade,
  subject text not null,
  day date not null,
  pos bigint not null,
  shard smallint not null,
  constraint lane_backlog_pk primary key (endpoint, subject, day, pos)
);

create table dead_letter (
  endpoint text not null constraint dead_letter_endpoint references endpoint on delete cascade,
  event_id text not null,
  subject text not null,
  shard smallint not null,
  day date not null,
  pos bigint not null,
  at timestamptz not null,
  reason text not null,
  attempts integer not null,
  constraint dead_letter_pk primary key (endpoint, event_id)
);

create table attempt (
  day date not null,
  endpoint text not null,
  event_id text not null,
  n integer not null,
  at timestamptz not null,
  status smallint,
  ms integer not null,
  error text,
  body_4k bytea not null
) partition by range (day);

create index attempt_by_endpoint on attempt (endpoint, at desc, event_id, n);

-- Make day partitions of the attempts from a day on.
create function make_attempt_days(first date, count integer) returns integer language plpgsql as $$
declare
  made integer := 0;
  day date;
  name text;
begin
  for day in select first + step from generate_series(0, count - 1) as step loop
    name := 'attempt_' || to_char(day, 'YYYYMMDD');
    if to_regclass(name) is null then
      execute format('create table if not exists %I partition of attempt for values from (%L) to (%L)', name, day, day + 1);
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;

-- Drop the day partitions of the attempts that end before a day.
create function drop_attempt_days(before date) returns integer language plpgsql as $$
declare
  dropped integer := 0;
  name text;
begin
  for name in
    select child.relname from pg_inherits join pg_class child on child.oid = inhrelid
    where inhparent = 'attempt'::regclass and child.relname < 'attempt_' || to_char(before, 'YYYYMMDD')
  loop
    execute format('drop table if exists %I', name);
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;

select make_attempt_days((now() at time zone 'UTC')::date - 1, 9);
