-- Alerts: what somebody has to look at, who has it, and how far its ladder went
--
-- Alerts are written only by decisions, in the journal's commit, like `alarm`, whose rows are calls for help. `type` is the public type
-- that raised it; a `discreet` one is shown to supervisors as a timed task, and its subject to nobody. `rung` counts the steps
-- of its ladder that were taken, `told` who stands on that one. `changed_at` is the wall-clock time of the write.

create table alert (
  id text not null constraint alert_pk primary key,
  type text not null,
  level text not null,
  service text not null,
  subject text not null,
  discreet boolean not null,
  run text,
  site text,
  event uuid not null,
  raised_at timestamptz not null,
  rung integer not null default 0,
  told text,
  acknowledged_at timestamptz,
  acknowledged_by text,
  settled_at timestamptz,
  changed_at timestamptz not null
) with (fillfactor = 70);

create index alert_by_change on alert (changed_at);
create index alert_by_time on alert (raised_at, id);
create index alert_open on alert (raised_at) where acknowledged_at is null and settled_at is null;

alter table alarm add column rung integer not null default 0, add column told text;

-- Duty desks: the last rung of every ladder. A desk is of a site, or with '*' of all. Its hours are minutes of the week in its
-- own time zone, Monday 0:00 = 0, as pairs of opens[n] and closes[n]; `hours` is how the operator wrote them. The contact is the
-- operator's own, not a person's. The first one, of nobody in particular, is always open and watches the screens.
create table desk (
  site text not null,
  name text not null,
  contact jsonb,
  hours text not null,
  opens integer[] not null,
  closes integer[] not null,
  zone text not null,
  changed_at timestamptz not null,
  constraint desk_pk primary key (site, name)
);

insert into desk (site, name, hours, opens, closes, zone, changed_at) values ('*', 'duty', 'always', '{0}', '{10080}', 'UTC', now());

-- Where a round is regularly silent: of each 200 m of its line how many runs passed, how many were not heard there for minutes,
-- and how long on average. Learned of rounds, never of carriers; another version of the round begins anew.
create table silent_stretch (
  round_id text not null,
  bucket integer not null,
  version bigint not null,
  passed integer not null,
  silent integer not null,
  gap_s double precision not null,
  constraint silent_stretch_pk primary key (round_id, bucket)
);

create table silence_learned (
  run text not null constraint silence_learned_pk primary key,
  at timestamptz not null
);

-- Tasks whose window is in danger because their run is late, so that each danger is told once.
create table window_threat (
  task text not null constraint window_threat_pk primary key,
  at timestamptz not null
);
