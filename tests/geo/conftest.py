"""Towns for the tests: real ones from FIELDSVC_TEST_DATA, else generated; measured figures go to the end of the run."""

import os
import random
from pathlib import Path

import pytest

from geo.address_files import AddressRow, read_addresses
from geo.positions import Plane

FIRST = "Jean Marie Paul Louise Victor Simone Pierre Anne Jules Rosa Henri Marguerite Lucien Berthe".split()
LAST = "Moulin Curie Valois Michel Hugo Veil Loti Frank Ferry Parks Barbusse Duras Sampaix Morisot Cachin".split()
TYPES = ("Rue", "Avenue", "Allée", "Impasse", "Boulevard")


def _data():
    folder = os.environ.get("FIELDSVC_TEST_DATA")
    return Path(folder) if folder and Path(folder).is_dir() else None


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as lines:
        return [row for row in read_addresses(lines) if isinstance(row, AddressRow)]


@pytest.fixture(scope="session")
def note(note):
    """Add a measured figure to the summary of the run."""
    return lambda line: note(f"geo: {line}")


@pytest.fixture(scope="session")
def data_folder():
    return _data()


@pytest.fixture(scope="session")
def generated_town():
    """A grid of 24 streets of 90 numbers in three communes of one postcode each; names do not repeat in a commune."""
    rng, plane, rows = random.Random(7), Plane(46.5, 1.5), []
    names = [f"{kind} {first} {last}" for kind in TYPES for first in FIRST for last in LAST]
    for commune, city in enumerate(("Valbourg", "Saint-Ouen-le-Vieux", "L'Étang-Neuf")):
        citycode, postcode = f"3699{commune}", f"3696{commune}"
        for no, name in enumerate(rng.sample(names, 24)):
            for number in range(1, 91):
                along, across = 10 + number // 2 * 18, 6 if number % 2 else -6
                place = (along, no % 12 * 80 + across) if no < 12 else (no % 12 * 80 + across + 900, along)
                lat, lon = plane.latlon(place[0] + commune * 4000, place[1])
                rows.append(
                    AddressRow(
                        f"{citycode}_{no:04d}_{number:05d}", number, None, name, postcode, city, citycode, lat, lon
                    )
                )
    return rows


@pytest.fixture(scope="session")
def bondy_or_generated(data_folder, generated_town):
    """The town of the layout floors: (name, rows, rounds)."""
    if data_folder:
        return "Bondy", rows_of(data_folder / "ban_bondy" / "adresse_ban_bondy_93010.csv"), 15
    return "generated", generated_town, 12


@pytest.fixture(scope="session")
def department_or_generated(data_folder, generated_town):
    """The addresses of the geocoder floors: (name, rows)."""
    if data_folder:
        return "BANO 90", rows_of(data_folder / "bano" / "bano-90.csv")
    return "generated", generated_town
