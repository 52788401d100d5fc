"""The few figures that matter, each defined in words, and what one thing's public events add to them. Pure.

A figure is a share of things that came out well among those that came to an end; a thing counts once in each, at the site, in
the month and under the carrier of one event, its `source`. Whatever arrives when, the same public events give the same counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from handlers.fields import parse_time

Unit = Literal["percent", "per_1000", "nps"]
DONE = frozenset({"item.delivered", "item.collected", "medication.delivered", "home_visit.completed"})
FAILED = frozenset({"item.delivery_attempted", "medication.returned", "home_visit.missed"})
_PRESENTED = frozenset({"item.delivered", "item.delivery_attempted"})
_CHANGES = frozenset({"delivery_change.applied", "delivery_change.too_late"})
_OTHERS = frozenset(
    {"home_visit.rescheduled", "rating.given", "trust.dispute_opened", "task.planned", "task.cancelled"}
)
WITHDRAWN = "event.corrected"
CHAINED = frozenset(
    {"item.returned_to_sender", "medication.received_back", "key.collected", "key.returned", "pet.handed_over"}
)
TYPES = DONE | FAILED | _CHANGES | _OTHERS | CHAINED | {WITHDRAWN}
KEPT = ("task_id", "window", "chain", "score", "about", "said_by", "request_id")


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure: its name, its unit, and what it says, in French and English."""

    name: str
    unit: Unit
    title: Mapping[str, str]
    definition: Mapping[str, str]

    def value(self, numerator: int, denominator: int) -> float:
        """Return the figure of a sum, to one decimal."""
        return round(numerator * (1000 if self.unit == "per_1000" else 100) / denominator, 1)


def _kpi(name: str, unit: Unit, *words: str) -> Kpi:
    title_fr, title_en, fr, en = words
    return Kpi(
        name,
        unit,
        MappingProxyType({"fr": title_fr, "en": title_en}),
        MappingProxyType({"fr": fr, "en": en}),
    )


KPIS: tuple[Kpi, ...] = (
    _kpi(
        "first_presentation",
        "percent",
        "Objets remis à la première présentation",
        "Items delivered at first presentation",
        "Part des objets présentés dont la première présentation a abouti à une remise.",
        "Share of the items presented whose first presentation was a delivery.",
    ),
    _kpi(
        "on_time",
        "percent",
        "Dans le créneau",
        "Within the window",
        "Part des missions avec créneau, menées à leur terme, qui ont été faites dans ce créneau.",
        "Share of the tasks with a window that came to an end and were done within it.",
    ),
    _kpi(
        "visits_done",
        "percent",
        "Visites effectuées",
        "Visits done",
        "Part des visites effectuées parmi celles qui l'ont été ou ont été manquées.",
        "Share of visits that took place among those that did or were missed.",
    ),
    _kpi(
        "visits_moved",
        "percent",
        "Visites reportées",
        "Visits rescheduled",
        "Part des visites reportées au moins une fois parmi celles effectuées, manquées ou reportées.",
        "Share of visits that were moved at least once among those done, missed or moved.",
    ),
    _kpi(
        "chain_complete",
        "percent",
        "Chaînes de remise complètes",
        "Complete custody chains",
        "Part des choses suivies de main en main dont la dernière remise n'a laissé aucun maillon manquant.",
        "Share of the things followed hand by hand whose last hand-over left no link missing.",
    ),
    _kpi(
        "changes_applied",
        "percent",
        "Changements de livraison appliqués",
        "Delivery changes applied",
        "Part des changements appliqués parmi ceux qui l'ont été ou sont arrivés trop tard.",
        "Share of the changes that were applied among those that were or came too late.",
    ),
    _kpi(
        "disputes",
        "per_1000",
        "Contestations pour mille objets",
        "Disputes per thousand items",
        "Objets dits distribués et contestés, pour mille objets distribués.",
        "Items said to be delivered and disputed, for each thousand delivered.",
    ),
    _kpi(
        "nps",
        "nps",
        "Recommandation nette des clients",
        "Net promoter score of customers",
        "Part des notes 9 et 10 moins part des notes 0 à 6, parmi les notes des clients sur un service rendu.",
        "Share of ratings 9 and 10 minus share of 0 to 6, of customers about a service they received.",
    ),
    _kpi(
        "carriers_nps",
        "nps",
        "Recommandation nette des facteurs",
        "Net promoter score of carriers",
        "Part des notes 9 et 10 moins part des notes 0 à 6, parmi les notes données au service depuis les téléphones.",
        "Share of ratings 9 and 10 minus share of 0 to 6, given to the service from phones.",
    ),
)
BY_NAME: Mapping[str, Kpi] = MappingProxyType({each.name: each for each in KPIS})


@dataclass(frozen=True, slots=True, order=True)
class Told:
    """What is kept of one public event of a thing; `at` is RFC 3339 UTC, so that text order is time order."""

    at: str
    evt: str
    type: str
    site: str | None
    account: str | None
    data: Mapping[str, Any]

    @property
    def service(self) -> str:
        """The part of the type's name that tells the service."""
        return self.type.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one thing adds to one figure, and the event that says where, when and on whose run."""

    kpi: str
    service: str
    source: Told
    numerator: int
    denominator: int = 1


def contributions(told: Iterable[Told]) -> Iterator[Contribution]:
    """Tell what the public events of one thing that hold add to each figure."""
    facts = sorted(told)
    presented = [each for each in facts if each.type in _PRESENTED]
    if presented:
        yield Contribution("first_presentation", "item", presented[0], int(presented[0].type in DONE))
    yield from _on_time(facts)
    yield from _visits([each for each in facts if each.service == "home_visit"])
    chained = [each for each in facts if "chain" in each.data]
    if chained:
        yield Contribution(
            "chain_complete", chained[-1].service, chained[-1], int(chained[-1].data["chain"] == "complete")
        )
    yield from _changes(facts)
    yield from _opinions(facts)


def _on_time(facts: Sequence[Told]) -> Iterator[Contribution]:
    windows: dict[str, Any] = {}
    for each in facts:
        if each.type == "task.planned":
            windows[each.data["task_id"]] = each.data.get("window")
        elif each.type == "task.cancelled":
            windows.pop(each.data["task_id"], None)
    window = next((each for each in reversed(windows.values()) if each), None)
    done = next((each for each in facts if each.type in DONE), None)
    ended = done or next((each for each in reversed(facts) if each.type in FAILED), None)
    if window and ended:
        at, early, late = (parse_time(text) for text in (ended.at, window["from"], window["until"]))
        yield Contribution("on_time", ended.service, ended, int(done is not None and early <= at <= late))


def _visits(facts: Sequence[Told]) -> Iterator[Contribution]:
    done = next((each for each in facts if each.type in DONE), None)
    ended = done or next((each for each in reversed(facts) if each.type in FAILED), None)
    moved = next((each for each in facts if each.type == "home_visit.rescheduled"), None)
    if ended:
        yield Contribution("visits_done", "home_visit", ended, int(done is not None))
    if source := ended or moved:
        yield Contribution("visits_moved", "home_visit", source, int(moved is not None))


def _changes(facts: Sequence[Told]) -> Iterator[Contribution]:
    """Count each change by what was said of it last, where its item was presented: the change itself may name no site."""
    last = {str(each.data.get("request_id")): each for each in facts if each.type in _CHANGES}
    presented = next((each for each in reversed(facts) if each.type in _PRESENTED), None)
    for each in last.values():
        applied = int(each.type == "delivery_change.applied")
        yield Contribution("changes_applied", "delivery_change", presented or each, applied)


def _opinions(facts: Sequence[Told]) -> Iterator[Contribution]:
    """Count disputes and ratings under the event that they are about: who served then is concerned, not who rates."""
    served = next((each for each in reversed(facts) if each.type in DONE), None)
    if served and served.service == "item":
        disputed = any(each.type == "trust.dispute_opened" for each in facts)
        yield Contribution("disputes", "item", served, int(disputed))
    ratings = [each for each in facts if each.type == "rating.given"]
    if not ratings:
        return
    newest, (kind, _, name) = ratings[-1], str(ratings[-1].data["about"]).partition("/")
    if kind == "service" and newest.data.get("said_by") == "carrier":
        yield Contribution("carriers_nps", name, newest, _promotes(newest))
    elif kind != "service" and served and newest.account in (None, served.account):
        yield Contribution("nps", served.service, served, _promotes(newest))


def _promotes(rating: Told) -> int:
    score = int(rating.data["score"])
    return 1 if score >= 9 else -1 if score <= 6 else 0
