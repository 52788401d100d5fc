"""`bench geocode`: how often the embedded geocoder finds the right house number, and how honest its scores are.

Real addresses are written wrongly (geocode_faults.py) and searched in the store of their whole département; beside that what
one writes first: `extractOne` of rapidfuzz over all addresses of the commune, which it is told. Then addresses that the
store does not have (their street, number or commune was left out): any answer with a score of 0.9 is wrong. Then the cases of
geocoder-tester whose département is in the data (geocode_cases.py), and the speed on one core with the commune known.

**Seeds.** The ranking was fitted on BANO 05, 48 and 2A with seeds below 1,000; this reports on BANO 90 and the BAN of Bondy
with seeds from 7,000, the tests with seeds from 9,000. Without real data an invented district stands in.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from fieldsvc.bench import geocode_store
from fieldsvc.bench.courses import data_folder
from fieldsvc.bench.geocode_cases import lines_of_cases
from fieldsvc.bench.geocode_faults import FAULTS, mistyped, written
from fieldsvc.bench.lines import Against, Show, result, rounded
from geo.address_files import AddressRow, read_addresses
from geo.addresses import ACCEPT_SCORE, Candidate, Geocoder, MemoryStore, one_line, street_key
from geo.street_words import capitals

REPORTING = 7_000
BESIDE = "bare_extract_one"
_NAIVE = 50
_SPEED = 2_000
_BANDS = (0.0, 0.6, 0.7, 0.8, 0.9, 0.95, 1.01)
FILES = {"bano_90": "bano/bano-90.csv", "ban_bondy": "ban_bondy/adresse_ban_bondy_93010.csv"}
_CITIES = ("Valbourg", "Saint-Ouen-le-Vieux", "L'Étang-Neuf", "Montbazin", "La Roche-sur-Arve")
_TYPES = ("Rue", "Avenue", "Allée", "Impasse", "Chemin")
_NAMES = (
    "de la Gare", "du Général Morel", "des Tilleuls", "Jeanne Lebrun", "du Vieux Pressoir", "de l'Abbaye", "Victor Arnaud", "du 8 Mai 1945",
    "des Quatre Chemins", "Sainte-Colombe", "du Docteur Vasseur", "de la Grande Prairie", "Paul Mercier", "des Hirondelles", "de Verneuil",
    "du Pont Romain", "Louise Garnier", "des Anciens Fours", "de la Fontaine aux Loups", "Henri Delmas",
)  # fmt: skip


@dataclass
class Tally:
    """What searches were worth: how many, how many right, how many sure (0.9 or more), how many sure and wrong; by score band."""

    asked: int = 0
    right: int = 0
    sure: int = 0
    wrong_and_sure: int = 0
    bands: dict[float, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def add(self, best: Candidate | None, *, right: bool) -> None:
        """Count one search by its best answer."""
        self.asked += 1
        self.right += right
        sure = best is not None and best.score >= ACCEPT_SCORE
        self.sure += sure
        self.wrong_and_sure += sure and not right
        if best is not None:
            band = self.bands[max(floor for floor in _BANDS if floor <= best.score)]
            band[0] += 1
            band[1] += right

    def percent(self, count: int) -> float:
        """Give a count as a percentage of the searches."""
        return 100.0 * count / max(self.asked, 1)


def rows_of(path: Path) -> list[AddressRow]:
    """Read the usable rows of an address file."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [row for row in read_addresses(lines) if isinstance(row, AddressRow)]


@cache
def invented_district() -> tuple[AddressRow, ...]:
    """Invent five communes of one postcode with twenty streets each; the same always."""
    rng, rows = random.Random(5), []  # noqa: S311 - measurements, not secrets
    for commune, city in enumerate(_CITIES):
        for no, name in enumerate(_NAMES):
            street = f"{rng.choice(_TYPES)} {name}"
            for number in range(1, rng.randrange(20, 80)):
                code = f"3699{commune}"
                place = (46.5 + commune * 0.05 + no * 0.001, 1.5 + number * 0.0001)
                address_id = f"{code}_{no:04d}_{number:05d}"
                rows.append(AddressRow(address_id, number, None, street, "36960", city, code, *place))
    return tuple(rows)


def is_right(best: Candidate | None, row: AddressRow) -> bool:
    """Tell whether an answer is this very address: commune, street, number and mark."""
    return best is not None and (
        best.citycode,
        best.house_number,
        best.repetition,
        street_key(best.street or ""),
    ) == (row.citycode, row.house_number, row.repetition, street_key(row.street))


def with_faults(rows: Sequence[AddressRow], *, count: int, seed: int) -> dict[str, Tally]:
    """Search `count` random addresses, each written with every kind of fault; tallies by kind."""
    geocoder, found = Geocoder(MemoryStore.from_rows(rows)), {}
    for kind, texts in faulty_texts(rows, count=count, seed=seed).items():
        tally = found[kind] = Tally()
        for row, text in texts:
            best = next(iter(geocoder.search(text)), None)
            tally.add(best, right=is_right(best, row))
    return found


def faulty_texts(rows: Sequence[AddressRow], *, count: int, seed: int) -> dict[str, list[tuple[AddressRow, str]]]:
    """Write `count` random addresses with every kind of fault."""
    rng = random.Random(seed)  # noqa: S311 - measurements, not secrets
    sample = rng.sample([row for row in rows if row.house_number], count)
    return {
        kind: [(row, text) for row in sample if (text := fault(row.address(), rng)) is not None]
        for kind, fault in FAULTS.items()
    }


def with_gaps(rows: Sequence[AddressRow], *, count: int, seed: int) -> dict[str, Tally]:
    """Search addresses that the store lacks: a quarter of the streets, of the numbers, or of the communes was left out.

    No house number can be right; an interpolated one or the street alone is right when only the number is missing.
    """
    parts: Mapping[str, Callable[[AddressRow], object]] = {
        "street not known": lambda row: (row.citycode, street_key(row.street)),
        "number not known": lambda row: (row.citycode, street_key(row.street), row.house_number, row.repetition),
        "commune not known": lambda row: row.citycode,
    }
    found = {}
    for kind, part in parts.items():
        rng = random.Random(seed)  # noqa: S311 - measurements, not secrets
        every = sorted({str(part(row)) for row in rows})
        gone = set(rng.sample(every, max(1, len(every) // 4)))
        geocoder = Geocoder(MemoryStore.from_rows(row for row in rows if str(part(row)) not in gone))
        asked = [row for row in rows if str(part(row)) in gone and row.house_number]
        tally = found[kind] = Tally()
        for row in rng.sample(asked, min(count, len(asked))):
            street = row.street if rng.random() < 0.5 else mistyped(row.street, rng)
            best = next(iter(geocoder.search(written(row.address(), street=street))), None)
            place = best and (best.kind, best.citycode, street_key(best.street or ""))
            honest = {
                ("interpolated", row.citycode, street_key(row.street)),
                ("street", row.citycode, street_key(row.street)),
            }
            town = best is not None and best.kind == "municipality" and best.citycode == row.citycode
            tally.add(best, right=(kind == "number not known" and place in honest) or town)
    return found


def naive_right(rows: Sequence[AddressRow], texts: Sequence[tuple[AddressRow, str]]) -> float:
    """Search some texts with rapidfuzz's `extractOne` over every address of their commune; percent right."""
    by_commune: dict[str, list[AddressRow]] = defaultdict(list)
    for row in rows:
        by_commune[row.citycode].append(row)
    lines = {code: [capitals(one_line(row.address())) for row in members] for code, members in by_commune.items()}
    right = 0
    for row, text in texts[:_NAIVE]:
        place = process.extractOne(capitals(text), lines[row.citycode], scorer=fuzz.ratio)[2]
        one = by_commune[row.citycode][place]
        same = (one.house_number, one.repetition, street_key(one.street))
        right += same == (row.house_number, row.repetition, street_key(row.street))
    return 100.0 * right / max(len(texts[:_NAIVE]), 1)


def speeds(rows: Sequence[AddressRow], kind: str, *, count: int, seed: int) -> tuple[float, float]:
    """Measure searches a second of CPU with the commune known, and bare `extractOne`s over the street names of the same communes."""
    texts = faulty_texts(rows, count=count, seed=seed)[kind]
    geocoder, names = Geocoder(MemoryStore.from_rows(rows)), defaultdict(set)
    for row in rows:
        names[row.citycode].add(row.street)
    choices = {code: sorted(streets) for code, streets in names.items()}
    began = time.process_time()
    for row, text in texts:
        geocoder.search(text, citycode=row.citycode)
    took = time.process_time() - began
    began = time.process_time()
    for row, text in texts:
        process.extractOne(text.split(",")[0], choices[row.citycode], scorer=fuzz.ratio)
    return len(texts) / took, len(texts) / (time.process_time() - began)


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Print quality by kind of fault, honesty, the cases, and speed; `cycles` times 200 addresses, with `full` 2,000."""
    folder, count = data_folder(), 2_000 if full else 200 * max(1, cycles)
    towns: dict[str, Sequence[AddressRow]] = (
        {name: rows_of(folder / path) for name, path in FILES.items()} if folder else {}
    )
    for number, (name, rows) in enumerate((towns or {"invented": invented_district()}).items()):
        for line in lines_of_quality(name, rows, count=count, seed=REPORTING + number):
            show(line)
        for kind in ("exact", "typo in street"):
            pairs = [speeds(rows, kind, count=_SPEED, seed=REPORTING + turn) for turn in range(max(1, cycles))]
            beside = Against("bare_extract_one_per_s", [bare for _, bare in pairs])
            values = [value for value, _ in pairs]
            show(
                result(
                    "geocode", "searches_per_s", values, beside, shape=kind, town=name, addresses=len(rows), processes=1
                )
            )
    if folder:
        for line in lines_of_cases(folder):
            show(line)
    await geocode_store.run(towns or {"invented": invented_district()}, cycles=cycles, show=show)


def lines_of_quality(name: str, rows: Sequence[AddressRow], *, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Write the lines of one town: a line for each kind of fault, for what is not known, and for each band of scores."""
    count = min(count, len(rows) // 2)
    conditions = {"town": name, "addresses": len(rows), "seed": seed, "cores": 1}
    tallies, texts = with_faults(rows, count=count, seed=seed), faulty_texts(rows, count=count, seed=seed)
    for kind, tally in tallies.items():
        if tally.asked:
            yield _line(
                "right_number_percent",
                kind,
                tally.percent(tally.right),
                naive_right(rows, texts[kind]),
                _more(tally, conditions),
            )
    for kind, tally in with_gaps(rows, count=count, seed=seed).items():
        yield _line("wrong_and_sure_percent", kind, tally.percent(tally.wrong_and_sure), None, _more(tally, conditions))
    for floor in _BANDS[:-1]:
        asked, right = (
            sum(tally.bands[floor][part] for tally in tallies.values() if floor in tally.bands) for part in (0, 1)
        )
        if asked:
            yield _line(
                "right_by_score_percent", f"from {floor}", 100.0 * right / asked, None, {**conditions, "asked": asked}
            )


def _more(tally: Tally, conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        **conditions,
        "asked": tally.asked,
        "sure_percent": rounded(tally.percent(tally.sure)),
        "wrong_and_sure_percent": rounded(tally.percent(tally.wrong_and_sure)),
    }


def _line(metric: str, shape: str, value: float, beside: float | None, conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "bench": "geocode",
        "metric": metric,
        "shape": shape,
        "value": rounded(value),
        "ratio_to": BESIDE if beside is not None else None,
        "ratio": rounded(value / beside) if beside else None,
        "conditions": {**conditions, **({BESIDE: rounded(beside)} if beside is not None else {})},
    }
