-- The living notebook, hazards, refused access, instructions, whom a carrier knows, and what phones were shown of sheets
--
-- Written only by decisions, in the journal's commit, but for `sheet_shown`. What a reader sees of these tables is on sheets:
-- whoever changes one of them raises the versions of the runs whose sheets show it, in the same statement.
--
-- `notebook` keeps every note of a delivery point's story, one row an event; of a kind the newest one counts, and one without
-- text says that there is nothing any more. `by_regular` is whether it was the round's regular carrier who wrote it, as the
-- roster told on that day; nothing else of the writer is here.
--
-- `hazard.area` and `round.area` are boxes of longitude and latitude: rounds that a hazard may cross are found by them, and the
-- exact distance from the line is measured when a sheet is built. A round without a line of its own has no area and is always
-- looked at.
--
-- `task.identity_at` says that whoever took the thing was the addressee and showed a document, `identity_run` on which run:
-- that is how a carrier comes to know a person. The name stays sealed, with the task.
--
-- `sheet_shown` has a digest of each stop and member of the last versions that phones were given, so that the next one may be
-- sent as what differs. It is a memory: without a row the whole sheet is sent.

create table notebook (
  event uuid not null constraint notebook_pk primary key,
  delivery_point_id text not null,
  kind text not null,
  by_regular boolean not null,
  written_at timestamptz not null,
  removed boolean not null,
  sealed bytea not null
);

create index notebook_by_point on notebook (delivery_point_id, kind, by_regular, written_at);

create table hazard (
  id text not null constraint hazard_pk primary key,
  kind text not null,
  state text not null constraint hazard_state check (state in ('reported', 'confirmed', 'ended')),
  site text,
  lat double precision not null,
  lon double precision not null,
  radius_m double precision not null,
  area box not null,
  until timestamptz not null,
  reported_at timestamptz not null,
  sealed bytea not null
);

create index hazard_by_time on hazard (reported_at, id);

create table access_case (
  delivery_point_id text not null constraint access_case_pk primary key,
  site text,
  state text not null constraint access_case_state check (state in ('open', 'decided')),
  opened_at timestamptz not null,
  answer_due_at timestamptz not null,
  reason text not null,
  asked_by text not null,
  mail_waits_at text,
  mail_waits_until date,
  decision text,
  decided_at timestamptz,
  until date,
  sealed bytea not null
);

create index access_case_by_time on access_case (opened_at, delivery_point_id);

create table instruction (
  event uuid not null constraint instruction_pk primary key,
  run text not null,
  stop_id text,
  given_at timestamptz not null,
  sealed bytea not null
);

create index instruction_by_run on instruction (run);

create table sheet_shown (
  run text not null,
  version bigint not null,
  day date not null,
  digests bytea not null,
  constraint sheet_shown_pk primary key (run, version)
);

create index sheet_shown_by_day on sheet_shown (day);

alter table task add column identity_at timestamptz, add column identity_run text;

create index task_identified on task (delivery_point) where identity_at is not null;

-- The box around a line of lon, lat, lon, lat …; null for an empty one.
create function line_area(line double precision[]) returns box language sql immutable as $$
  select box(point(min(line[at]), min(line[at + 1])), point(max(line[at]), max(line[at + 1])))
  from generate_series(1, coalesce(array_length(line, 1), 0) - 1, 2) as at
$$;

alter table round add column area box generated always as (line_area(line)) stored;

-- Who knows a round: whoever walked it on four of the 28 days before, and on a third of those on which it was walked; where
-- fewer than four are known, the carriers of the devices whose own round it is.
create function regular_carriers(of_round text, before_day date) returns setof text language sql stable as $$
  with walked as (
    select past.day, roster.carrier
    from generate_series(before_day - 28, before_day - 1, interval '1 day') as past (day)
    join roster on roster.day = past.day::date and roster.round_id = of_round
    where roster.carrier is not null
    union
    select past.day, run.carrier
    from generate_series(before_day - 28, before_day - 1, interval '1 day') as past (day)
    join run on run.day = past.day::date and run.round_id = of_round
    where run.carrier is not null and not exists (
      select 1 from roster where roster.day = past.day::date and roster.round_id = of_round)
  ), known as (
    select count(distinct walked.day) as days from walked
  )
  select walked.carrier from walked group by walked.carrier
  having count(*) >= 4 and count(*) * 3 >= (select known.days from known)
  union
  select device.carrier from device
  where device.round_id = of_round and device.revoked_at is null and (select known.days from known) < 4
$$;
