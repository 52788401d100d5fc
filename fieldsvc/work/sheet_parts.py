"""The parts of a sheet, each made of what was read and opened: tasks, mandates, forms, the notebook, hazards, access cases."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from fieldsvc.store.access_case import CaseRow
from fieldsvc.store.hazard import HazardRow
from fieldsvc.store.household import ToldRow
from fieldsvc.store.request import SheetRow
from fieldsvc.store.run import MovedStop
from fieldsvc.store.sheet import InstructionRow, NoteRow
from fieldsvc.store.task import TaskRow
from geo.rounds import Round, Stop, nearest_on
from handlers.fields import format_time

CODE_ROUNDS, CODE_TRIES = 20_000, 3
_ALSO = ("notes", "contacts", "address")
_TITLES = {"monsieur": "m", "mr": "m", "madame": "mme", "mademoiselle": "mlle"}
Opened = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody as an order names them: the orderer's own reference, and the words of the name."""

    account: str | None
    person: str | None
    words: frozenset[str]

    def is_same(self, other: "Named") -> bool:
        """Tell whether two orders mean the same person; by their references where both have one."""
        if self.person and other.person and self.account == other.account:
            return self.person == other.person
        return bool(self.words) and self.words == other.words


def named(account: str | None, personal: Any) -> Named:
    """Read whom a task is for from its personal fields."""
    known = personal if isinstance(personal, Mapping) else {}
    addressee = known.get("addressee")
    parts = addressee.values() if isinstance(addressee, Mapping) else [addressee]
    text = " ".join(part for part in parts if isinstance(part, str))
    plain = "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))
    words = (_TITLES.get(word, word) for word in re.findall(r"\w+", plain))
    return Named(account, known.get("person"), frozenset(words))


def task_on_sheet(row: TaskRow, personal: Any, *, known_to_you: bool | None, code: Any = None) -> dict[str, Any]:
    """Write a task; of an erased person's what was personal is left out. `code` is what takes the place of its code."""
    known = personal if isinstance(personal, Mapping) else {"details": {"erased": True}}
    more = {name: known[name] for name in _ALSO if known.get(name)}
    details = {name: value for name, value in (known.get("details") or {}).items() if name != "code"}
    return {
        "task_id": row.id,
        "service": row.service,
        "subject": row.subject,
        "addressee": known.get("addressee"),
        "window": window_of(row),
        "requirements": row.requirements,
        "known_to_you": known_to_you,
        "form": form_key(known["form"]) if known.get("form") else None,
        "details": {**more, **details, **({"code": code} if code else {})},
    }


def window_of(row: TaskRow) -> dict[str, str] | None:
    """Write a task's window; None without one."""
    if row.window_from is None or row.window_until is None:
        return None
    return {"from": format_time(row.window_from), "until": format_time(row.window_until)}


def code_of(row: TaskRow, personal: Any) -> str | None:
    """Return the code that a task's addressee will say at the door; a letter with a code has none that a carrier may check."""
    details = personal.get("details") if isinstance(personal, Mapping) else None
    code = details.get("code") if isinstance(details, Mapping) else None
    return str(code) if code and row.service != "letter_code" else None


def hashed_code(row: TaskRow, code: str) -> dict[str, Any]:
    """Write a code so that the phone can check it offline and nobody can read it: salted, slow, with a cap on the tries.

    PBKDF2-HMAC-SHA-256 over the code as UTF-8; salt and hash in hex. A few milliseconds: not in the event loop.
    """
    salt = hashlib.sha256(f"{row.id} {row.event}".encode()).digest()[:16]
    found = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, CODE_ROUNDS)
    return {
        "algorithm": "PBKDF2-SHA-256",
        "iterations": CODE_ROUNDS,
        "salt": salt.hex(),
        "hash": found.hex(),
        "tries": CODE_TRIES,
    }


def form_key(form: Mapping[str, Any]) -> str:
    """Name a form by id and version, or by its content."""
    if form.get("id"):
        return f"{form['id']}@{form.get('version', 1)}"
    return hashlib.sha256(orjson.dumps(form, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def forms(opened: Iterable[Any]) -> dict[str, Any]:
    """Collect the forms that tasks name."""
    found = [each["form"] for each in opened if isinstance(each, Mapping) and each.get("form")]
    return {form_key(form): form for form in found}


def mandates(row: TaskRow, personal: Any, *, stop_id: str | None, day: date) -> Iterator[dict[str, Any]]:
    """Yield the mandates of a task that are in force on a day; one whose dates cannot be read is not."""
    ordered = personal.get("mandates") if isinstance(personal, Mapping) else None
    about = {"task_id": row.id, "subject": row.subject, "stop_id": stop_id, "delivery_point_id": row.delivery_point}
    for each in ordered or ():
        mandate = each if isinstance(each, Mapping) else {"name": each}
        if in_force(mandate, day):
            yield {**about, "mandate": dict(mandate)}


def proxy(asked: SheetRow, sealed: Any, *, stop_id: str | None) -> Iterator[dict[str, Any]]:
    """Yield the mandate that a customer gave by a delivery change, while it is on the sheet."""
    details = sealed.get("details") if isinstance(sealed, Mapping) else None
    if asked.kind == "proxy" and isinstance(details, Mapping) and details.get("proxy"):
        about = {
            "task_id": None,
            "subject": asked.subject,
            "stop_id": stop_id,
            "delivery_point_id": asked.delivery_point,
        }
        yield {**about, "mandate": {"name": details["proxy"], "request_id": asked.id}}


def in_force(mandate: Mapping[str, Any], day: date) -> bool:
    """Tell whether a day lies between `from` and `until`, both included and both optional: days, or RFC 3339 times."""
    try:
        begins, ends = _day(mandate.get("from")), _day(mandate.get("until"))
    except ValueError:
        return False
    return (begins is None or begins <= day) and (ends is None or day <= ends)


def _day(said: Any) -> date | None:
    if said is None:
        return None
    return date.fromisoformat(str(said)[:10])


def notebook(notes: Sequence[NoteRow], opened: Sequence[Any]) -> list[dict[str, Any]]:
    """Write what is known of one delivery point: the regular carrier's notes, and newer ones of substitutes beside them."""
    regular = {note.kind: note.written_at for note in notes if note.by_regular}
    shown = []
    for note, secret in zip(notes, opened, strict=True):
        is_old = not note.by_regular and note.kind in regular and note.written_at <= regular[note.kind]
        if isinstance(secret, Mapping) and not note.removed and not is_old:
            by = "regular" if note.by_regular else "substitute"
            on = note.written_at.date().isoformat()
            shown.append({"kind": note.kind, "text": secret.get("text", ""), "by": by, "on": on})
    return shown


def household(told: ToldRow, words: Any) -> Iterator[dict[str, Any]]:
    """Yield what one household tells, each with the names that it is about; nothing of one that was erased."""
    if not isinstance(words, Mapping):
        return
    names, on = ", ".join(words["names"]), told.touched_at.date().isoformat()
    yield {"kind": "names", "text": names, "by": "household", "on": on}
    said = {"hidden_box": words.get("box"), "floor": words.get("floor"), "code": words.get("code")}
    for kind, text in {**said, **words.get("standing", {})}.items():
        if text is not None:
            yield {"kind": kind, "text": f"{names} · {text}" if text else names, "by": "household", "on": on}


def hazards(found: Sequence[HazardRow], opened: Sequence[Any], planned: Round) -> list[dict[str, Any]]:
    """Write the hazards whose circle the round's line crosses, in the order in which they come along it."""
    crossing = []
    for hazard, personal in zip(found, opened, strict=True):
        along_m, off_m = nearest_on(planned.vertices, *planned.plane.xy(hazard.lat, hazard.lon))
        if off_m <= hazard.radius_m:
            note = personal.get("note") if isinstance(personal, Mapping) else None
            crossing.append((along_m, _hazard(hazard, note, along_m)))
    return [shown for _, shown in sorted(crossing, key=lambda each: (each[0], each[1]["hazard_id"]))]


def _hazard(hazard: HazardRow, note: str | None, along_m: float) -> dict[str, Any]:
    return {
        "hazard_id": hazard.id,
        "kind": hazard.kind,
        "lat": hazard.lat,
        "lon": hazard.lon,
        "radius_m": hazard.radius_m,
        "distance_along_m": round(along_m, 1),
        "note": note,
        "until": format_time(hazard.until),
    }


def instructions(
    given: Sequence[InstructionRow], opened: Sequence[Any], cases: Sequence[CaseRow], stop_of: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Write what supervisors said, then what to know of delivery points that cannot be served as planned."""
    said = [
        {"kind": "supervisor", "stop_id": row.stop_id, "text": words["text"], "given_at": format_time(row.given_at)}
        for row, words in zip(given, opened, strict=True)
        if isinstance(words, Mapping)
    ]
    return said + [_of_case(case, stop_of.get(case.delivery_point_id)) for case in cases]


def _of_case(case: CaseRow, stop_id: str | None) -> dict[str, Any]:
    return {
        "kind": "access",
        "stop_id": stop_id,
        "delivery_point_id": case.delivery_point_id,
        "state": case.state,
        "reason": case.reason,
        "decision": case.decision,
        "mail_waits_at": case.mail_waits_at,
        "mail_waits_until": case.mail_waits_until.isoformat() if case.mail_waits_until else None,
        "until": case.until.isoformat() if case.until else None,
    }


def stops_of(planned: Round, moved: Sequence[MovedStop]) -> list[tuple[Stop, str]]:
    """List the stops of the day with the round that each is of: without those that moved away, then those that moved here."""
    away = {each.stop_id for each in moved if each.round_id == planned.round_id}
    here = [(_stop_of(each), each.round_id) for each in moved if each.to_round == planned.round_id]
    return [(stop, planned.round_id) for stop in planned.stops if stop.stop_id not in away] + here


def _stop_of(moved: MovedStop) -> Stop:
    box = (moved.box_lat, moved.box_lon) if moved.box_lat is not None and moved.box_lon is not None else None
    return Stop(
        *(moved.stop_id, moved.lat, moved.lon, moved.side, moved.delivery_point_id, moved.address, moved.sequence),
        box_at=box,
    )


def stop_on_sheet(
    stop: Stop, round_id: str, *, tasks: Sequence[Mapping[str, Any]], notes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write a stop with its work and its notebook."""
    return {
        "stop_id": stop.stop_id,
        "round_id": round_id,
        "sequence": stop.sequence,
        "delivery_point_id": stop.delivery_point_id,
        "address": stop.address,
        "lat": stop.lat,
        "lon": stop.lon,
        "side": stop.side,
        "box_at": list(reversed(stop.box_at)) if stop.box_at else None,
        "tasks": list(tasks),
        "notebook": list(notes),
    }
