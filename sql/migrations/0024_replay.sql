-- Replays: what a subscriber asked to be sent again, or to be skipped, and how far each of them has come
--
-- Every one of these deeds has a row in `replay`, also those that are done as soon as they are asked for: `rewind` moved the live
-- cursor back, `skip` moved it to the newest event (`skipped` counts what was passed). A `side` replay and a `recover` are second
-- cursors beside the live one: per shard `replay_cursor` says up to where every event was sent, counted as failed, or found to be
-- gone, and where it ends. They read the journal itself, unless `listed`: then the events to be sent are in `replay_event`.
-- Whoever works at one makes that list first, in slices: `lists` says of what (null when the list is whole), `list_at` and
-- `list_event` how far it came, newest first, `list_since` how far back it goes.
--
-- A replay that runs belongs to one process at a time, by a lease of its own; every write of its owner names the epoch of that
-- lease. `sent`, `failed` and `skipped` count what its cursors have passed, so that a span which is sent again after a crash is
-- counted once.

create table replay (
  id text not null constraint replay_pk primary key,
  endpoint text not null constraint replay_endpoint references endpoint on delete cascade,
  mode text not null constraint replay_mode check (mode in ('rewind', 'side', 'recover', 'skip')),
  state text not null constraint replay_state check (state in ('running', 'paused', 'cancelled', 'done')),
  starts text,
  ends text,
  types text[] not null default '{}',
  only_failed boolean not null default false,
  listed boolean not null default false,
  rate_per_s double precision constraint replay_rate check (rate_per_s >= 0.1),
  lists text constraint replay_lists check (lists in ('dead', 'refused')),
  list_at timestamptz,
  list_event text,
  list_since timestamptz,
  sent bigint not null default 0,
  failed bigint not null default 0,
  skipped bigint not null default 0,
  created_at timestamptz not null,
  ended_at timestamptz,
  owner uuid,
  epoch bigint not null default 0,
  leased_until timestamptz not null,
  constraint replay_ended check ((state in ('cancelled', 'done')) = (ended_at is not null))
) with (fillfactor = 50);

create index replay_by_endpoint on replay (endpoint, id);
create index replay_running on replay (leased_until) where state = 'running';

create table replay_cursor (
  replay text not null constraint replay_cursor_replay references replay on delete cascade,
  shard smallint not null,
  day date not null,
  pos bigint not null,
  end_day date not null,
  end_pos bigint not null,
  constraint replay_cursor_pk primary key (replay, shard)
) with (fillfactor = 50);

create table replay_event (
  replay text not null constraint replay_event_replay references replay on delete cascade,
  shard smallint not null,
  day date not null,
  pos bigint not null,
  constraint replay_event_pk primary key (replay, shard, day, pos)
);

alter table replay enable row level security;
grant select on replay to fieldsvc_subscriber;
create policy own on replay for select to fieldsvc_subscriber using (
  exists (select from endpoint where endpoint.id = replay.endpoint));

-- The answer to an event with sealed parts is not kept: it may repeat them, and would outlive an erasure. Null says so.
alter table attempt alter column body_4k drop not null;
