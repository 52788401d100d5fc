-- Learned times: how long the stops and legs of each round usually take, for the times at which a carrier is expected
--
-- One small row a round, as `geo.learned_times` writes it: for each delivery point its service time and the leg that leads to
-- it. No carrier, no run and no date is in it; old days fade by the number of days that came after them. A run is taken in
-- once, some hours after its end: `run.learned` is set in the transaction that changes the row, also where too little of the
-- run was seen to learn from. A round that is removed takes its times with it.

create table learned_time (
  round_id text not null constraint learned_time_pk primary key
    constraint learned_time_round references round on delete cascade,
  body bytea not null
);

alter table run add column learned boolean not null default false;
create index run_to_learn on run (state_at) where state = 'ended' and not learned;
