"""The seeded fictional town and its files, in the forms that `fieldsvc import` takes. Not a real place, no real people."""

import csv
import io
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from itertools import count
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from fieldsvc.simulate.further import FURTHER
from fieldsvc.simulate.ids import s10, seeded
from fieldsvc.simulate.layout import SITES, TOWN, DeliveryPoint, PlannedStop, RoundPlan, lay_out
from fieldsvc.simulate.names import FIRST_NAMES, SURNAMES
from fieldsvc.simulate.rural import lay_out_country

LABEL = f"{TOWN}: fictional data, made by the simulator from a seed; no such town, no such people"
BAN_COLUMNS = (
    "id;id_fantoir;numero;rep;nom_voie;code_postal;code_insee;nom_commune;code_insee_ancienne_commune;nom_ancienne_commune;x;y;lon;lat;"
    "type_position;alias;nom_ld;libelle_acheminement;nom_afnor;source_position;source_nom_voie;certification_commune;cad_parcelles"
).split(";")
ITEMS_PER_ROUND = 12


@dataclass(frozen=True, slots=True)
class Carrier:
    name: str
    round_id: str
    site: str
    qualifications: tuple[str, ...]


class Town:
    """A town of `rounds` rounds of about `stops` stops each and `rural` van rounds around it, wholly decided by `seed`.

    What is in the town does not depend on how many rural rounds there are.
    """

    def __init__(
        self, seed: int = 1, rounds: int = 35, *, stops: int = 500, rural: int = 0, timezone: str = "Europe/Paris"
    ) -> None:
        self.seed = seed
        self.label = LABEL
        self.zone = ZoneInfo(timezone)
        self.dense: tuple[RoundPlan, ...] = tuple(lay_out(seed, rounds=rounds, stops=stops))
        self.country: tuple[RoundPlan, ...] = tuple(lay_out_country(seed, rounds=rural))
        self.rounds: tuple[RoundPlan, ...] = (*self.dense, *self.country)

    @property
    def sites(self) -> tuple[str, ...]:
        used = {plan.site for plan in self.rounds}
        return tuple(site for site in SITES if site in used)

    @cached_property
    def carriers(self) -> tuple[Carrier, ...]:
        """One regular carrier for each round, with names that are unique in the town."""
        names = [f"{first} {last}" for first in FIRST_NAMES for last in SURNAMES]
        in_town = hired(names, self.dense, seeded("carriers", self.seed))
        left = sorted(set(names) - {carrier.name for carrier in in_town})
        return (*in_town, *hired(left, self.country, seeded("carriers of the country", self.seed)))

    def delivery_points(self) -> Iterator[DeliveryPoint]:
        """Yield every delivery point, round by round in walking order."""
        return (stop.point for plan in self.rounds for stop in plan.stops)

    def addresses_csv(self) -> str:
        """Return every address in the official BAN form (`;`, 23 columns); the row's `id` is the delivery point's id."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=";", lineterminator="\n")
        writer.writerow(BAN_COLUMNS)
        for point in self.delivery_points():
            x, y = lambert93(point.lat, point.lon)
            writer.writerow(
                (point.id, f"{point.insee_code}_{point.street_code}", point.number, point.rep, point.street, point.postcode,
                 point.insee_code, point.town, "", "", f"{x:.2f}", f"{y:.2f}", f"{point.lon:.6f}", f"{point.lat:.6f}",
                 "entrée", "", "", afnor(point.town), afnor(point.street),
                 "fictif", "fictif", 0, "")
            )  # fmt: skip
        return out.getvalue()

    def rounds_geojson(self) -> str:
        """Return the rounds as one GeoJSON FeatureCollection: a LineString and its Points for each round."""
        features = [feature for plan in self.rounds for feature in round_features(plan)]
        return orjson.dumps(
            {"type": "FeatureCollection", "name": TOWN, "description": LABEL, "features": features}
        ).decode()

    def roster_csv(self, day: date) -> str:
        """Return who walks which round on `day`; several qualifications are separated by a space."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("date", "round_id", "carrier", "qualifications"))
        for carrier in self.carriers:
            writer.writerow((day.isoformat(), carrier.round_id, carrier.name, " ".join(carrier.qualifications)))
        return out.getvalue()

    def tasks_jsonl(self, day: date) -> str:
        """Return the planned work of `day`, one body of `POST /v1/tasks` a line."""
        return "".join(orjson.dumps(task).decode() + "\n" for task in self.tasks(day))

    def tasks(self, day: date) -> Iterator[dict[str, Any]]:
        """Yield the planned work of `day`, round by round."""
        serials = day.toordinal() * ITEMS_PER_ROUND * len(self.dense)
        yield from self._tasks_of(self.dense, day, prefix="", serials=serials, rng=seeded("tasks", self.seed, day))
        serials = 50_000_000 + day.toordinal() * ITEMS_PER_ROUND * len(self.country)
        rng = seeded("tasks of the country", self.seed, day)
        yield from self._tasks_of(self.country, day, prefix="R", serials=serials, rng=rng)

    def _tasks_of(
        self, plans: Sequence[RoundPlan], day: date, *, prefix: str, serials: int, rng: Random
    ) -> Iterator[dict[str, Any]]:
        """Yield the work of some rounds; `prefix` goes into the ids of pouches and visits, `serials` is the first S10 one."""
        numbers = count(1)
        for index, plan in enumerate(plans):
            pouch_count = rng.choice((1, 1, 2))
            visit, check, *rest = rng.sample(plan.stops, min(len(plan.stops), ITEMS_PER_ROUND + pouch_count + 2))
            for n, stop in enumerate(rest[pouch_count:], index * ITEMS_PER_ROUND):
                item, needs = f"item/{s10('RK', (serials + n) % 10**8)}", ["identity", "signature"]
                yield task("item", item, stop, day=day, addressee=person(rng), needs=needs)
            for stop in rest[:pouch_count]:
                pouch = f"pouch/P-{day:%Y%m%d}{prefix}{next(numbers):03d}"
                yield self.timed("medication", pouch, stop, day=day, rng=rng)
            yield self.timed("home_visit", f"visit/V-{day:%Y%m%d}{prefix}{index + 1:03d}", visit, day=day, rng=rng)
            point = f"delivery_point/{check.point.id}"
            yield task("address_change", point, check, day=day, addressee=person(rng), needs=["observe"])
            yield from self._further(plan, index, day)

    def _further(self, plan: RoundPlan, index: int, day: date) -> Iterator[dict[str, Any]]:
        """Yield the rarer work: one piece a round in turn, and each kind on the first round."""
        rng = seeded("further tasks", self.seed, day, plan.round_id)
        for service in FURTHER if index == 0 else (FURTHER[index % len(FURTHER)],):
            stop = rng.choice(plan.stops)
            name = f"{service[0].upper()}-{day:%Y%m%d}{plan.round_id}"
            kind = {"letter_code": "letter", "check_address": "delivery_point"}.get(service, service)
            subject = f"{kind}/{stop.point.id if service == 'check_address' else name}"
            body = task(service, subject, stop, day=day, addressee=person(rng), needs=[])
            details = {"may_receive": ["owner", "vet"]} if service in ("key", "pet") else {}
            yield {**body, **({"details": details} if details else {})}

    def timed(self, service: str, subject: str, stop: PlannedStop, *, day: date, rng: Random) -> dict[str, Any]:
        """Make a task with a window of two hours in the shift and two contacts in order."""
        opens = datetime.combine(day, time(8 + rng.randrange(5), rng.choice((0, 30))), self.zone)
        closes = opens.replace(hour=opens.hour + 2)
        needs = ["seal", "label", "code"] if service == "medication" else ["presence"]
        body = task(service, subject, stop, day=day, addressee=person(rng), needs=needs)
        body["window"] = {"from": utc_text(opens), "until": utc_text(closes)}
        body["contacts"] = [{"name": person(rng), "phone": f"+3363998{rng.randrange(10_000):04d}"} for _ in range(2)]
        if service == "medication":
            body["details"] = {"may_receive": ["patient", "named_relative", "named_carer"]}
        return body


def hired(names: Sequence[str], plans: Sequence[RoundPlan], rng: Random) -> tuple[Carrier, ...]:
    """Choose one regular carrier for each round."""
    chosen = rng.sample(names, len(plans))
    return tuple(
        Carrier(name, plan.round_id, plan.site, ("visits", "pouches", *(("keys",) if rng.random() < 0.3 else ())))
        for name, plan in zip(chosen, plans, strict=True)
    )


def task(
    service: str, subject: str, stop: PlannedStop, *, day: date, addressee: str, needs: list[str]
) -> dict[str, Any]:
    """Make the body of one `POST /v1/tasks`."""
    return {
        "service": service,
        "subject": subject,
        "on": day.isoformat(),
        "delivery_point": stop.point.id,
        "addressee": addressee,
        "requirements": needs,
    }


def round_features(plan: RoundPlan) -> Iterator[dict[str, Any]]:
    """Yield the LineString of a round, then its Points in order."""
    yield {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": plan.line},
        "properties": {"round_id": plan.round_id, "site": plan.site, "mode": plan.mode, "name": plan.name},
    }
    for stop in plan.stops:
        yield {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": (stop.point.lon, stop.point.lat)},
            "properties": {
                "round_id": plan.round_id,
                "stop_id": stop.stop_id,
                "sequence": stop.sequence,
                "delivery_point_id": stop.point.id,
                "address": stop.point.address,
                "side": stop.side,
                **({"box_at": stop.point.box_at} if stop.point.box_at else {}),
            },
        }


def person(rng: Random) -> str:
    """Return a name that nobody bears."""
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(SURNAMES)}"


def utc_text(moment: datetime) -> str:
    """Return an aware datetime as RFC 3339 text in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def afnor(text: str) -> str:
    """Return capitals without accents or punctuation, as on a postal label."""
    plain = unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()
    return plain.replace("-", " ").replace("'", " ").upper()


def lambert93(lat: float, lon: float) -> tuple[float, float]:
    """Project to Lambert-93 metres (EPSG:2154). Constants and method: IGN, NTG_71 and the RGF93 projection sheet."""
    n, c, xs, ys, e = 0.7256077650532670, 11754255.426096, 700000.0, 12655612.049876, 0.0818191910428158
    phi = math.radians(lat)
    iso = math.atanh(math.sin(phi)) - e * math.atanh(e * math.sin(phi))
    radius = c * math.exp(-n * iso)
    angle = n * math.radians(lon - 3.0)
    return xs + radius * math.sin(angle), ys - radius * math.cos(angle)
