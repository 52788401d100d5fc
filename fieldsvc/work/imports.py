"""What an operator brings: sites, addresses, rounds and the roster. The second import of a file changes nothing."""

import asyncio
import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from typing import TextIO, cast

from fieldsvc.errors import UserMistake
from fieldsvc.store import address as addresses
from fieldsvc.store import roster
from fieldsvc.store import round as rounds
from fieldsvc.store import site as sites
from fieldsvc.store.database import Database
from fieldsvc.store.roster import Absence, RosterRow
from fieldsvc.work.errors import BadImport
from geo.address_files import AddressRow, BadRow, read_addresses
from geo.errors import BadFile, TooFewAddresses
from geo.layout import lay_out_rounds
from geo.round_files import read_rounds_csv, read_rounds_geojson
from geo.rounds import MODES, Round

Progress = Callable[[int], None]
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_ROUND_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,47}")  # it becomes part of run ids
_ROSTER_COLUMNS = ("date", "round_id", "carrier")
ABSENCES = ("sick", "leave", "training", "other")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_SHOWN = 20


def no_progress(count: int) -> None:
    """Tell nobody."""
    del count


@dataclass
class AddressReport:
    """What became of an address file: rows taken and refused, addresses that are new or changed, and those of its communes
    that it has not: removed where it replaces the commune, kept where it adds to it. `bad` holds the first refused rows.
    """

    taken: int = 0
    refused: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0
    bad: list[BadRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What became of a file of rounds, or of a layout."""

    rounds: int
    stops: int
    changed: int


async def create_site(database: Database, site: str) -> bool:
    """Make a site; False if it exists. UserMistake for a name that is no id."""
    if not _ID.fullmatch(site):
        raise UserMistake(f"{site!r} cannot name a site: letters, digits and . _ : - (at most 64).")
    return await sites.create(database, site)


async def import_addresses(
    database: Database, lines: Iterable[str], *, progress: Progress = no_progress
) -> AddressReport:
    """Import a BAN or BANO file of any size, row by row; rows that cannot be used are counted and left out.

    What the file replaces and what it leaves is told by `store.address.put`. BadImport for a file of another form, or without
    one good row: then nothing is changed.
    """
    report = AddressReport()
    try:
        taken = await addresses.put(database, _good(_readable(lines), report), progress=progress)
    except BadFile as error:
        raise BadImport(str(error)) from None
    report.taken, report.changed, report.removed, report.kept = taken.rows, taken.changed, taken.removed, taken.kept
    return report


def open_lines(path: Path) -> TextIO:
    """Open a file as lines of text, unpacked if it is gzip, as the reference addresses of a département are published."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    opener = gzip.open if packed else open
    return cast(TextIO, opener(path, "rt", encoding="utf-8-sig", newline=""))


def _readable(lines: Iterable[str]) -> Iterator[str]:
    """Pass lines on; BadFile, naming the last good line, where the text ends that can be read."""
    source, line_no = iter(lines), 0
    while True:
        try:
            line = next(source, None)
        except UnicodeDecodeError:
            raise BadFile(f"after line {line_no}", "it is not UTF-8 text.") from None
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise BadFile(f"after line {line_no}", "the gzip file is damaged or cut off.") from None
        if line is None:
            return
        line_no += 1
        yield line


def _good(lines: Iterable[str], report: AddressReport) -> Iterator[AddressRow]:
    any_good = False
    for row in read_addresses(without_nul(lines)):
        if isinstance(row, AddressRow):
            any_good = True
            yield row
            continue
        report.refused += 1
        if len(report.bad) < _SHOWN:
            report.bad.append(row)
    if not any_good:
        first = report.bad[0] if report.bad else BadRow(2, "there is no row.")
        raise BadFile(f"line {first.line_no}", first.reason)


async def import_rounds(
    database: Database, path: Path, *, zone: tzinfo, progress: Progress = no_progress
) -> RoundReport:
    """Import rounds from GeoJSON or CSV (told by the content); each replaces the round of its id whole.

    Sites that they name are made. BadImport with the feature or line and the mistake: then nothing is changed.
    """
    found = await asyncio.to_thread(_read_rounds, path)
    _check_ids(found)
    progress(sum(len(each.stops) for each in found))
    return await _put(database, found, source="file", zone=zone)


def _read_rounds(path: Path) -> list[Round]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip()[:1] in {"{", "["}:
            return read_rounds_geojson(text)
        return read_rounds_csv(text.splitlines(keepends=True))
    except BadFile as error:
        raise BadImport(str(error)) from None
    except UnicodeDecodeError:
        raise BadImport("file: it is not UTF-8 text.") from None
    except OSError as error:
        raise BadImport(f"{path}: {error.strerror}.") from None


async def layout_rounds(database: Database, *, site: str, count: int, zone: tzinfo, mode: str = "foot") -> RoundReport:
    """Lay rounds of a site over the imported addresses that no other site serves; a second layout replaces the first.

    UserMistake: unknown site or mode, fewer addresses than rounds.
    """
    if not await sites.exists(database, site):
        raise UserMistake(f"There is no site {site}; `fieldsvc site create {site}` makes it.")
    if mode not in MODES:
        raise UserMistake(f"The mode {mode} is none of {', '.join(MODES)}.")
    if count < 1:
        raise UserMistake("A layout makes at least one round.")
    rows = await addresses.for_layout(database, site)
    prefix = await _free_prefix(database, site, count)
    try:
        found = lay_out_rounds(rows, site=site, count=count, mode=mode, prefix=prefix)
    except TooFewAddresses as error:
        raise UserMistake(f"{error} Import addresses first: `fieldsvc import addresses FILE`.") from None
    _check_ids(found)
    return await _put(database, found, source="layout", zone=zone, only_of_site=site)


async def import_roster(database: Database, lines: Iterable[str], *, progress: Progress = no_progress) -> int:
    """Import `date,round_id,carrier,qualifications?,absence?,starts_at?`; an empty carrier means nobody walks the round yet.

    With the column `absence` (sick, leave, training, other; empty = is there) it says who is away that day: then nobody
    walks the rounds of their rows. Return the number of rows. BadImport with the line and the mistake: then nothing is changed.
    """
    return len(await roster_days(database, lines, progress=progress))


async def roster_days(database: Database, lines: Iterable[str], *, progress: Progress = no_progress) -> list[date]:
    """Import a roster as `import_roster` does; return the day of each row."""
    try:
        read = list(_roster_rows(without_nul(lines)))
    except UnicodeDecodeError:
        raise BadImport("file: it is not UTF-8 text.") from None
    except csv.Error as error:
        raise BadImport(f"file: this is not CSV ({error}).") from None
    sites_of = await roster.sites_of_rounds(database, sorted({row.round_id for _, row, _ in read}))
    for line_no, row, _ in read:
        if row.round_id not in sites_of:
            raise BadImport(f"line {line_no}: there is no round {row.round_id}; import the rounds first.")
    rows = [row for _, row, _ in read]
    away = [
        Absence(row.day, sites_of[row.round_id], row.carrier, kind or None)
        for _, row, kind in read
        if row.carrier and kind is not None
    ]
    await roster.put(database, rows, away)
    progress(len(read))
    return [row.day for row in rows]


def _roster_rows(lines: Iterable[str]) -> Iterator[tuple[int, RosterRow, str | None]]:
    source = iter(lines)
    header = next(source, "").removeprefix("\ufeff")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    if missing := [name for name in _ROSTER_COLUMNS if name not in names]:
        raise BadImport(f"line 1: the header lacks {', '.join(missing)}; it is date,round_id,carrier,qualifications.")
    reader, any_row = csv.reader(source, delimiter=delimiter), False
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        line_no = reader.line_num + 1
        if len(cells) != len(names):
            raise BadImport(f"line {line_no}: it has {len(cells)} columns and the header has {len(names)}.")
        row = dict(zip(names, (cell.strip() for cell in cells), strict=True))
        any_row = True
        yield line_no, _roster_row(line_no, row), _absence(line_no, row)
    if not any_row:
        raise BadImport("line 2: there is no row.")


def _roster_row(line_no: int, row: dict[str, str]) -> RosterRow:
    try:
        day = date.fromisoformat(row["date"])
    except ValueError:
        raise BadImport(f"line {line_no}: the date is {row['date']!r}; it is written 2026-11-21.") from None
    if not row["round_id"]:
        raise BadImport(f"line {line_no}: round_id is missing.")
    skills = tuple(part for part in re.split(r"[|;,\s]+", row.get("qualifications", "")) if part)
    return RosterRow(day, row["round_id"], row["carrier"] or None, skills, _start(line_no, row.get("starts_at")))


def _start(line_no: int, text: str | None) -> time | None:
    if not text:
        return None
    if not _CLOCK.fullmatch(text):
        raise BadImport(f"line {line_no}: starts_at is {text!r}; it is written 07:30.")
    return time.fromisoformat(text)


def _absence(line_no: int, row: dict[str, str]) -> str | None:
    """Read why the carrier of a row is away; empty for one who is there, None where the file does not say."""
    kind = row.get("absence")
    if kind and kind not in ABSENCES:
        raise BadImport(f"line {line_no}: the absence is none of {', '.join(ABSENCES)}.")
    if kind and not row["carrier"]:
        raise BadImport(f"line {line_no}: an absence needs its carrier.")
    return kind


def without_nul(lines: Iterable[str]) -> Iterator[str]:
    """Pass lines on; BadImport at the first with a NUL character, which no database text can hold."""
    for line_no, line in enumerate(lines, 1):
        if "\0" in line:
            raise BadImport(f"line {line_no}: there is a NUL character in it.")
        yield line


def _check_ids(found: list[Round]) -> None:
    for each in found:
        if "\0" in (each.name or "") or any("\0" in f"{stop.address}{stop.side}" for stop in each.stops):
            raise BadImport(f"round {each.round_id}: there is a NUL character in one of its texts.")
        if not _ROUND_ID.fullmatch(each.round_id):
            raise BadImport(f"round {each.round_id!r}: an id has letters, digits and . _ : - (at most 48).")
        if not _ID.fullmatch(each.site or ""):
            raise BadImport(f"round {each.round_id}: {each.site!r} cannot name a site.")
        for stop in each.stops:
            for name in (stop.stop_id, stop.delivery_point_id or stop.stop_id):
                if not _ID.fullmatch(name):
                    raise BadImport(
                        f"round {each.round_id}, stop {stop.stop_id}: {name!r} is no id (letters, digits and . _ : -, at most 64)."
                    )


async def _put(
    database: Database, found: list[Round], *, source: str, zone: tzinfo, only_of_site: str | None = None
) -> RoundReport:
    today = datetime.now(UTC).astimezone(zone).date()
    changed = await rounds.put(database, found, source=source, from_day=today, only_of_site=only_of_site)
    return RoundReport(len(found), sum(len(each.stops) for each in found), changed)


async def _free_prefix(database: Database, site: str, count: int) -> str:
    """Choose how laid-out rounds are named: T01…, or with the site's name where another round has such an id."""
    width = max(2, len(str(count)))
    wanted = [f"T{number:0{width}d}" for number in range(1, count + 1)]
    return f"{site}-T" if await rounds.taken_by_others(database, wanted, site) else "T"
