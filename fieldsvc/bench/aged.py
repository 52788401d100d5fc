"""A journal of many days for `bench age`, made in bulk by SQL: what a month of uploads leaves, without the uploads.

Each day is made as the service makes one: its partition is filled apart and attached with its indexes, then ids, heads, states,
keys and sealed parts follow. Of every run there is the run itself, of the last week where it was last. What the rows hold is
made up, and so are the chains; subjects lie on shards in turn. The cursors of what follows the journal stand at its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import asyncpg

EVENTS_A_RUN, ROWS_AN_EVENT, FIXES_A_RUN = 160, 2, 720
BULK_S = 900.0
RECENT_DAYS = 8  # of which a service that starts looks where runs were
_SESSION = "set synchronous_commit = off; set maintenance_work_mem = '256MB'; set work_mem = '128MB'"
_FUNCTION = """
create or replace function pg_temp.aged_day(day date, first bigint, runs integer, per_run integer) returns void
language plpgsql as $aged$
declare
  name text := 'event_' || to_char(day, 'YYYYMMDD');
begin
  create temp table made on commit drop as
  select first + i as n, (i % 4)::smallint as shard, (first / 4 + i / 4) * 2 as pos, at, 'item/A' || lpad((first + i)::text, 18, '0') as subject,
    'run-' || to_char(day, 'YYYY-MM-DD') || '-F' || lpad((i % runs)::text, 5, '0') as run, round.site,
    'F' || lpad((i % runs)::text, 5, '0') as round_id, round.id || '-' || (1 + i / runs % 10) as stop,
    (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7000' || '8' || lpad(to_hex(first + i), 15, '0'))::uuid as id,
    (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7001' || '8' || lpad(to_hex(first + i), 15, '0'))::uuid as key_id
  from generate_series(0, runs * per_run - 1) as i
  cross join lateral (select (day + time '07:00') at time zone 'UTC' + i * interval '6 hours' / (runs * per_run) as at) as moment
  join round on round.id = 'F' || lpad((i % runs)::text, 5, '0');
  execute format('create table %I (like event including defaults including constraints)', name);
  execute format($sql$
    insert into %I (day, shard, pos, id, part, kind, type, subject, subject_seq, account, site, run, occurred_at, received_at, public, sealed_sha256, chain)
    select %L::date, shard, pos + row.no, id, row.part, row.kind, 'item.delivered', subject, row.seq, null, site, run, at, at + interval '3 seconds',
      convert_to(case row.kind when 'field'
        then '{"public":{"item_ids":["' || substr(subject, 6) || '"],"to":"mailbox"},"operational":{"stop_id":"' || stop || '","_envelope":{"time":"'
          || to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS') || '.000Z",' || located || '}},"sealed":["personal"]}'
        else '{"public":{"item_id":"' || substr(subject, 6) || '","to":"mailbox",' || located || ',"proof":{"score":71,"words":"","factors":[]}},"operational":{}}' end, 'UTF8'),
      case row.kind when 'field' then array[sha256(int8send(n))] else '{}'::bytea[] end, sha256(int8send(n * 2 + row.no))
    from made
    cross join lateral (select '"located":{"stop_id":"' || stop || '","door_distance_m":5.6,"confidence":0.95,"method":"stop","status":"at_stop",'
      || '"distance_along_m":481.7,"offset_m":null,"round_id":"' || round_id || '","run_id":"' || run || '","delivery_point_id":"' || stop || '"}' as located) as told
    cross join (values (1, (-1)::smallint, 'field', null::bigint), (2, 0::smallint, 'public', 1)) as row (no, part, kind, seq)
    order by shard, pos, row.no$sql$, name, day);
  execute format('alter table %I add constraint %I check (day >= %L and day < %L)', name, name || '_day', day, day + 1);
  execute format('alter table event attach partition %I for values from (%L) to (%L)', name, day, day + 1);
  execute format('alter table %I drop constraint %I', name, name || '_day');
  insert into event_id (id, day, shard, pos, site, content_hmac, received_at)
    select id, day, shard, pos + 1, site, sha256(int8send(n)), at + interval '3 seconds' from made order by id;
  insert into subject_head (subject, seq, account, person, touched_on) select subject, 1, null, null, day from made order by n;
  insert into state (handler, subject, body, version)
    select 'item', subject, convert_to('{"facts":[["' || to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS') || '.000Z","' || id || '","item.delivered",{"item_id":"'
      || substr(subject, 6) || '","to":"mailbox","_place":"' || repeat('x', 180) || '"},"device",null,"' || run || '",null,null,3.0]],"published":{"' || id
      || ' item.delivered ":["evt_' || id || '","e93a7008a92b1f16"]},"now":{"state":"delivered"}}', 'UTF8'), 1 from made order by n;
  insert into person_key (person, key_id, wrapped) select subject, key_id, sha256(int8send(n)) || sha256(int8send(-n)) from made order by n;
  insert into sealed (purpose, month, event_id, part, person, key_id, nonce, ciphertext)
    select 'personal', date_trunc('month', day)::date, id, -1, subject, key_id, substr(sha256(int8send(n)), 1, 12), sha256(int8send(n)) || sha256(int8send(-n))
    from made order by id;
  insert into run (id, day, round_id, site, carrier, state, state_at, said, learned, changed_at)
    select distinct run, day, round_id, site, 'Carrier', 'ended', (day + time '14:00') at time zone 'UTC', 'covered', true, (day + time '14:00') at time zone 'UTC'
    from made on conflict do nothing;
  insert into state (handler, subject, body, version)
    select distinct 'run', 'run/' || run, convert_to('{"facts":[],"published":{},"now":{"duty":"off","state":"ended","mandate":false,"intervals":[["'
      || day || 'T06:00:00.000Z","' || day || 'T15:00:00.000Z"]]}}', 'UTF8'), 1 from made on conflict do nothing;
  insert into silence_learned (run, at) select distinct run, (day + time '17:00') at time zone 'UTC' from made on conflict do nothing;
end
$aged$"""
_WHERE_RUNS_WERE = """
insert into run_state (run, day, through_at, distance_along_m, status, updated_at)
select id, day, state_at, 19000.0, 'unknown', state_at from run where day = $1 and state = 'ended' on conflict do nothing"""
_PROGRESS = """
insert into progress (day, run, at, distance_along_m, status, received_at)
select run.day, run.id, run.state_at - interval '7 hours' + i * interval '30 seconds', i * 26.0, 'on_round',
  run.state_at - interval '7 hours' + i * interval '30 seconds'
from run cross join generate_series(0, $2::integer - 1) as i where run.day = $1 and run.state = 'ended' on conflict do nothing"""
_FOLLOWED = """
with ends as (select shard.id as shard, newest.day, newest.pos from shard cross join lateral (
  select day, pos from event where event.shard = shard.id order by day desc, pos desc limit 1) as newest),
points as (insert into delivery_point_cursor (shard, day, pos) select shard, day, pos from ends
  on conflict (shard) do update set day = excluded.day, pos = excluded.pos),
progress as (insert into progress_cursor (shard, day, pos) select shard, day, pos from ends
  on conflict (shard) do update set day = excluded.day, pos = excluded.pos)
insert into report_cursor (shard, day, pos) select shard, day, pos from ends
on conflict (shard) do update set day = excluded.day, pos = excluded.pos"""


@dataclass(frozen=True, slots=True)
class Month:
    """The days before today, `days` of them, each with so many runs."""

    today: date
    days: int
    runs: int

    @property
    def rows_a_day(self) -> int:
        """How many rows the journal has of one day."""
        return self.runs * EVENTS_A_RUN * ROWS_AN_EVENT

    def day(self, number: int) -> date:
        """Return a day: 0 is the one before yesterday, of which a new store has none yet."""
        return self.today - timedelta(days=2 + number)

    def first(self, number: int) -> int:
        """Return the number of the first event of a day: those of older days are lower."""
        return (self.days - 1 - number) * -(-self.runs * EVENTS_A_RUN // 4) * 4


async def fill(database_url: str, month: Month, days: Sequence[int]) -> None:
    """Make the journal of some days; the tables are analysed as they would be. Nothing may be running on the store."""
    connection = await asyncpg.connect(database_url, server_settings={"timezone": "UTC"})
    try:
        await connection.execute(_SESSION)
        await connection.execute(_FUNCTION)
        every = [month.day(number) for number in days]
        await connection.execute("select make_months($1, $2)", min(every), 2 + (max(every) - min(every)).days // 28)
        for number in days:
            await _fill_day(connection, month, number)
        await connection.execute(_FOLLOWED)
        await connection.execute("analyze", timeout=BULK_S)
        await connection.execute("checkpoint", timeout=BULK_S)
    finally:
        await connection.close()


async def _fill_day(connection: asyncpg.Connection, month: Month, number: int) -> None:
    day = month.day(number)
    async with connection.transaction():
        given = day, month.first(number), month.runs, EVENTS_A_RUN
        await connection.execute("select pg_temp.aged_day($1, $2, $3, $4)", *given, timeout=BULK_S)
    if number < RECENT_DAYS:
        await connection.execute(_WHERE_RUNS_WERE, day)
    if number == 0:
        await connection.execute("select make_days_of('progress', $1, 1)", day)
        await connection.execute(_PROGRESS, day, FIXES_A_RUN, timeout=BULK_S)
