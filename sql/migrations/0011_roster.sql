-- Roster: who is there, when runs start, what moved between runs, and what each run took out
--
-- A roster row keeps the carrier it was planned for; an `absence` of that day leaves the run without one. Times of day are
-- local. `run.risk` says why the work of a run is in danger (uncovered, late_start, run_not_served), as the journal decided;
-- the tasks on it are told by timers. A task that moved to another run of its day has that run's round and `moved_to`, which
-- keeps it there when it is changed or rounds are imported; `stop_move` does the same for whole stops. `run_thing` follows
-- things from hand to hand: a row for each run whose carrier had them, with the place where they are now. Written only by
-- decisions, in the journal's commit: risk, moves and things. Absences, moves and things are forgotten after some weeks.

create table carrier_of_site (
  site text not null constraint carrier_of_site_site references site,
  carrier text not null,
  qualifications text[] not null default '{}',
  constraint carrier_of_site_pk primary key (site, carrier)
);

create table absence (
  day date not null,
  site text not null constraint absence_site references site,
  carrier text not null,
  kind text not null constraint absence_kind check (kind in ('sick', 'leave', 'training', 'other')),
  constraint absence_pk primary key (day, site, carrier)
);

alter table site add column starts_at time;
alter table roster add column starts_at time;
alter table run add column starts_at time;
alter table run add column said_starts_at time;
alter table run add column risk text;
alter table run add column risk_at timestamptz;
alter table run add column reconciled_at timestamptz;

alter table task add column moved_to text;
create index task_of_account on task (account, day, id);
create index task_open on task (day, id) where state = 'planned';

create table stop_move (
  day date not null,
  round_id text not null,
  stop_id text not null,
  to_round text not null,
  constraint stop_move_pk primary key (day, round_id, stop_id)
);

create index stop_move_by_taker on stop_move (day, to_round);

create table run_thing (
  run text not null,
  thing text not null,
  place text not null,
  at timestamptz not null,
  constraint run_thing_pk primary key (run, thing)
);

create index run_thing_by_thing on run_thing (thing);
create index run_thing_by_time on run_thing (at);

alter table enrolment add column replaces text;

-- Make a UUID of version 7, in the order of time: for timers that a query sets, whose ids become event ids.
create function new_uuid7() returns uuid language sql volatile as $$
  select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid
$$;
