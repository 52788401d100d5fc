-- Work: what is planned, who walks it, and what is where
--
-- A `round` has a line and stops in order; a `run` is one day of it. A `task` belongs to the run of its day on the round
-- whose stop serves its delivery point; a point with a round but no stop gives a task without stop. Tasks, the state of runs
-- and the class of delivery points are written only by decisions, in the journal's commit; the rest comes from imports.
--
-- The version of a sheet is run.version + round.version + the sum of `changes` of its tasks. Nothing is locked to count it,
-- and two tasks that are planned at once can never share a number. What leaves a run adds to run.version what it takes away.

create table site (
  id text not null constraint site_pk primary key,
  created_at timestamptz not null
);

create table round (
  id text not null constraint round_pk primary key,
  site text not null constraint round_site references site,
  mode text not null constraint round_mode check (mode in ('foot', 'bike', 'van')),
  name text,
  line double precision[] not null,
  source text not null constraint round_source check (source in ('file', 'layout')),
  digest bytea not null,
  version bigint not null default 1,
  changed_at timestamptz not null
);

create index round_by_site on round (site);

create table stop (
  round_id text not null constraint stop_round references round on delete cascade,
  stop_id text not null,
  sequence integer not null,
  delivery_point_id text not null,
  lat double precision not null,
  lon double precision not null,
  side text,
  address text,
  box_lat double precision,
  box_lon double precision,
  constraint stop_pk primary key (round_id, stop_id)
);

create index stop_by_delivery_point on stop (delivery_point_id);

create table delivery_point (
  id text not null constraint delivery_point_pk primary key,
  address text,
  lat double precision not null,
  lon double precision not null,
  round_id text,
  class text,
  class_at timestamptz
);

create table address (
  id text not null constraint address_pk primary key,
  house_number integer,
  repetition text,
  street text not null,
  postcode text not null,
  city text not null,
  citycode text not null,
  lat double precision not null,
  lon double precision not null,
  position_kind text
);

create index address_by_commune on address (citycode);

create table commune (
  citycode text not null constraint commune_pk primary key,
  city text not null,
  postcodes text[] not null
);

create table roster (
  day date not null,
  round_id text not null,
  carrier text,
  qualifications text[] not null default '{}',
  constraint roster_pk primary key (day, round_id)
);

create table run (
  id text not null constraint run_pk primary key,
  day date not null,
  round_id text not null,
  site text not null,
  carrier text,
  state text not null default 'planned',
  state_at timestamptz,
  version bigint not null default 0,
  said text,
  constraint run_once unique (day, round_id)
);

create table task (
  id text not null constraint task_pk primary key,
  service text not null,
  subject text not null,
  account text,
  day date not null,
  delivery_point text,
  round_id text,
  window_from timestamptz,
  window_until timestamptz,
  requirements text[] not null,
  order_ref text,
  sealed bytea not null,
  event uuid not null,
  state text not null default 'planned',
  state_at timestamptz,
  seen_at timestamptz,
  changes bigint not null default 1
);

create index task_by_run on task (day, round_id);
create index task_by_subject on task (subject);
create index task_by_delivery_point on task (delivery_point, day);

create table idempotency (
  account text not null,
  key text not null,
  digest bytea not null,
  at timestamptz not null,
  status smallint,
  answer bytea,
  constraint idempotency_pk primary key (account, key)
);

create index idempotency_by_time on idempotency (at);
