"""A national operator for `bench fleet`: sites, rounds and phones by the ten thousand, made in bulk.

Some hundreds of rounds are imported as an operator imports them, and copied under other names with their stops; each phone's
row holds the digest of a token of its own. So 85,000 carriers stand ready within a minute; the rest they do by themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import orjson

from fieldsvc.access import accounts, tokens
from fieldsvc.bench.crews import Place, all_covered, signed_in, straight_round
from fieldsvc.platform import Platform
from fieldsvc.store import run as runs_store
from fieldsvc.work import imports

PATTERNS, SITES = (
    1_000,
    20,
)  # a round is the copy of a pattern; so each site has a twentieth of the patterns and of the rounds
LINE_M, POINTS, STOPS = 20_000.0, 40, 10
WEST, SOUTH, DEGREE_M = -4.0, 43.0, 111_195.0
BULK_S = 600.0
_ROUNDS = """
insert into round (id, site, mode, name, line, source, digest, changed_at)
select 'F' || lpad(n::text, 5, '0'), site, mode, name, line, 'file', sha256(convert_to(n::text, 'UTF8')), now()
from generate_series(0, $1::int - 1) as n join round as pattern on pattern.id = 'P' || lpad((n % $2::int)::text, 5, '0')"""
_STOPS = """
insert into stop (round_id, stop_id, sequence, delivery_point_id, lat, lon)
select 'F' || lpad(n::text, 5, '0'), 'F' || lpad(n::text, 5, '0') || '-' || sequence, sequence,
  'F' || lpad(n::text, 5, '0') || '-' || sequence, lat, lon
from generate_series(0, $1::int - 1) as n join stop as pattern on pattern.round_id = 'P' || lpad((n % $2::int)::text, 5, '0')"""
_PHONES = """
insert into device (id, carrier, site, round_id, token_sha256, enrolled_at)
select 'd-f' || number, 'Carrier ' || number, round.site, round.id, phone.token, now()
from unnest($1::bytea[]) with ordinality as phone (token, ordinal)
cross join lateral (select ordinal - 1 as number) as counted
join round on round.id = 'F' || lpad(number::text, 5, '0')"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The phones by number, who looks, and the key of a subscriber who may see everything."""

    day: date
    tokens: Sequence[str]
    sessions: Sequence[str]
    api_key: str

    def run_id(self, number: int) -> str:
        """Name the run of a phone."""
        return runs_store.run_id_of(self.day, round_of(number))


def round_of(number: int) -> str:
    """Name the round of a phone."""
    return f"F{number:05d}"


def site_of(number: int) -> str:
    """Name the site of a phone's round."""
    return f"bench-{number % PATTERNS % SITES:02d}"


def place(number: int, along_m: float) -> Place:
    """Return the [lon, lat] of a phone so far along its round: rounds run north, side by side, in rows of sites."""
    row, column = number % PATTERNS % SITES, number % PATTERNS // SITES
    return WEST + column * 0.004, SOUTH + 0.3 * row + along_m / DEGREE_M


async def prepare(platform: Platform, carriers: int) -> Fleet:
    """Make the sites, a round and a phone for each carrier, the runs of today, and sign a supervisor of each site in."""
    path = platform.settings.var_dir / "rounds.geojson"
    path.write_bytes(orjson.dumps({"type": "FeatureCollection", "features": list(_patterns(carriers))}))
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    phones = [tokens.new_token() for _ in range(carriers)]
    await _copy(platform, phones)
    today = platform.runs.today()
    for day in (today, today + timedelta(days=1)):
        await runs_store.plan_day(platform.database, day)
    await all_covered(platform)
    sessions = [
        await signed_in(platform, "supervisor", f"{site_of(n)}@bench.invalid", site=site_of(n)) for n in range(SITES)
    ]
    subscriber = await accounts.create_subscriber(platform.database, "bench", scopes=["operator"])
    return Fleet(today, phones, sessions, subscriber["api_key"])


def _patterns(carriers: int) -> Iterator[dict[str, Any]]:
    for number in range(min(carriers, PATTERNS)):
        line = [place(number, LINE_M * part / POINTS) for part in range(POINTS + 1)]
        yield from straight_round(f"P{number:05d}", line, site=site_of(number), name=f"Round {number}", stops=STOPS)


async def _copy(platform: Platform, phones: Sequence[str]) -> None:
    """Copy the patterns, take them away, and note the phones."""
    digests = [tokens.digest(token) for token in phones]
    async with platform.database.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(_ROUNDS, len(phones), PATTERNS, timeout=BULK_S)
        await connection.execute(_STOPS, len(phones), PATTERNS, timeout=BULK_S)
        await connection.execute("delete from round where id like 'P%'", timeout=BULK_S)
        await connection.execute(_PHONES, digests, timeout=BULK_S)
    async with platform.database.acquire() as connection:
        await connection.execute("analyze", timeout=BULK_S)
