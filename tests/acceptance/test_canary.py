"""Names, telephones, addresses, answers and places are planted wherever somebody may write them, and then looked for.

Planted is every example of every service: each text field that is personal, health or secret, a field that no service knows,
and the fix; and the orders, delivery changes, broken bodies and faults on the way. Looked through is whatever leaves: logs,
metrics, errors, what other accounts get, thin events, the operator's view, the live streams, and every row of the database.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from handlers.base import validated
from handlers.fields import SEALED_CLASSES, split
from handlers.registry import discover
from handlers.story import EventType
from tests.acceptance.conftest import SITE, World, a_world
from tests.acceptance.service import Answer, field_event, fresh
from tests.acceptance.test_live import Watch
from tests.acceptance.test_who_says_what import post_as, session_of

Data = dict[str, Any]
Path = tuple[Any, ...]
WORD, PHONE, MAIL = "Kanari", "+33699555{:03}", "kanari{}@maison.invalid"
FIX = {"lat": 48.9378137, "lon": 2.1609173, "accuracy_m": 8.0}
SIGNS = re.compile(rb"kanari|33699555\d|48\.93781\d|2\.16091\d", re.IGNORECASE)
HEX = re.compile(rb"\\x((?:[0-9a-f]{2}){4,})")
PEOPLE = ("supervisor", "adviser", "address_quality", "operator", "counter")
REGISTRY = discover()


@dataclass
class Planted:
    """What was said with canaries in it, and what everybody got to hear."""

    world: World
    began: int
    count: int = 0
    accepted: set[str] = field(default_factory=set)
    refusals: list[bytes] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)

    @property
    def log(self) -> bytes:
        return self.world.service.log.getvalue()[self.began :].encode()

    def canaries(self) -> Iterator[str]:
        """Make new ones: what a field takes of a name with an address, a telephone, a mail address or one word."""
        self.count += 1
        yield f"Zoé {WORD}-{self.count}, 17 bis rue du {WORD} 93500 Pantin"
        yield PHONE.format(self.count % 1_000)
        yield MAIL.format(self.count)
        yield f"{WORD}{self.count}"

    def keep(self, name: str, answer: Answer) -> None:
        """Keep what is not an answer to the one who may know: problems, and the words about what was put aside."""
        if answer.status != 200:
            self.refusals.append(answer.body + orjson.dumps(dict(answer.headers)))
            return
        for result in answer.json()["results"]:
            if result["status"] == "accepted":
                self.accepted.add(name)
                self.ids.append(result["id"])
            else:
                self.refusals.append(orjson.dumps(result))


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every text in a JSON value."""
    if isinstance(value, str):
        yield path
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from leaves(each, (*path, key))


def put(data: Data, path: Path, value: Any) -> Data:
    changed = deepcopy(data)
    owner: Any = changed
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    return changed


def fits(model: type[BaseModel], data: Data) -> bool:
    try:
        validated(model, orjson.dumps(data))
    except ValidationError:
        return False
    return True


def planted(each: EventType, example: Mapping[str, Any], made: Planted) -> Data:
    """Write an example with a canary in every sealed text that takes one, and in a field that nobody knows.

    A `person` is whom a key is made for: a reference that the orderer chose, opaque to everybody else.
    """
    data = dict(deepcopy(dict(example)))
    parts = split(each.payload, data)
    for path in [path for name in SEALED_CLASSES for path in leaves(parts.get(name, {})) if path != ("person",)]:
        tries = (put(data, path, canary) for canary in made.canaries())
        data = next((tried for tried in tries if fits(each.payload, tried)), data)
    return {**data, "nobody_knows": next(made.canaries())}


def say(made: Planted, each: EventType, data: Data) -> None:
    world, event = made.world, field_event(each.name, data, runid=made.world.run_id)
    if "device" in each.by:
        event["data"]["fix"] = {**FIX, "fixed_at": event["time"]}
        made.keep(each.name, world.phone.post(orjson.dumps([event])))
    elif "subscriber" in each.by:
        made.keep(each.name, world.pharmacy.post(orjson.dumps([event])))
    for role in sorted(set(PEOPLE) & each.by)[:1]:
        event = {**event, "id": field_event(each.name, {})["id"]}
        made.keep(each.name, post_as(world, session_of(world, role, SITE), event))


def order(made: Planted) -> None:
    """Order a pouch with every personal field, as the pharmacy; and the same with a member that no task has."""
    text = f"{WORD} commande"
    body = {
        "service": "medication", "subject": f"pouch/{fresh('P')}", "on": made.world.day.isoformat(), "delivery_point": "dp-118",
        "addressee": {"name": f"Zoé {WORD}", "phone": PHONE.format(998)}, "address": f"17 rue du {WORD}", "notes": text,
        "contacts": [{"name": text, "phone": PHONE.format(999)}], "mandates": [{"name": text}], "details": {"said": text},
    }  # fmt: skip
    ordered = made.world.pharmacy.ask("POST", "/v1/tasks", body)
    assert ordered.status == 201, ordered.body
    made.tasks.append(ordered.json()["task_id"])
    for wrong in ({**body, "on": text}, {**body, text: text}, {**body, "service": text}, {**body, "subject": text}):
        refused = made.world.pharmacy.ask("POST", "/v1/tasks", wrong)
        assert refused.status >= 400
        made.refusals.append(refused.body)


def ask_for_changes(made: Planted) -> None:
    """Ask for delivery changes with names, contacts and a new address, some of them not as they have to be."""
    headers = {**session_of(made.world, "adviser"), "Content-Type": "application/json"}
    contact = {"email": MAIL.format(1), "mobile": PHONE.format(997), "name": f"Zoé {WORD}"}
    for details in (
        {"neighbour": f"M. {WORD}"},
        {"new_address": f"17 rue du {WORD}"},
        {"contact": contact},
        {WORD: WORD},
    ):
        for kind in ("neighbour", "redirect_permanent", WORD):
            body = {"kind": kind, "item_id": fresh("RK"), "details": details, "postcode": WORD}
            answer = made.world.service.ask("POST", "/v1/delivery-changes", body, headers=headers, to_json=True)
            if answer.status >= 400:
                made.refusals.append(answer.body)


def say_it_wrong(made: Planted) -> None:
    """Send bodies that cannot be taken, with canaries in every place of an envelope, and let a fault happen on the way."""
    good = field_event("item.delivered", {"item_id": fresh("RK"), "to": "mailbox", "stop_id": "st-118"})
    for member in (*good, WORD):
        made.keep("wrong", made.world.phone.post(orjson.dumps([{**good, member: f"{WORD} {member}"}])))
    for body in (b'{"' + WORD.encode(), WORD.encode(), orjson.dumps([WORD]), orjson.dumps({WORD: WORD})):
        made.keep("wrong", made.world.phone.post(body))
    for path in ("/v1/events/{}", "/v1/tasks/{}", "/v1/runs/{}/replay", "/{}", "/suivi/v2/idships/{}", "/v1/media/{}"):
        made.refusals.append(made.world.operator.ask("GET", path.format(WORD)).body)
        made.refusals.append(made.world.service.ask("GET", path.format(WORD), headers={"X-Whose": WORD}).body)


def say_it_into_a_fault(made: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any, **_more: Any) -> None:
        raise ValueError(f"{WORD} {PHONE.format(1)}")

    with monkeypatch.context() as patch:
        patch.setattr("fieldsvc.intake.location._at_stop", broken)
        event = field_event(
            "item.delivered", {"item_id": fresh("RK"), "to": "mailbox", "stop_id": "st-118"}, runid=made.world.run_id
        )
        made.keep("fault", made.world.phone.post(orjson.dumps([event])))
        patch.setattr("fieldsvc.work.sheets.Sheets.sheet", broken, raising=False)
        patch.setattr("fieldsvc.publishing.feed.Feed.page", broken, raising=False)
        made.refusals.append(made.world.phone.ask("GET", f"/v1/runs/{made.world.run_id}/sheet").body)
        made.refusals.append(made.world.nobody.ask("GET", "/v1/feed").body)


@pytest.fixture(scope="module")
def world(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service of its own: the examples name things of which others speak."""
    with a_world(postgres_url, tmp_path_factory.mktemp("canary")) as own:
        yield own


@pytest.fixture(scope="module")
def made(world: World) -> Planted:
    """Everything was said once; who listens has heard it."""
    told = Planted(world, world.service.log.tell())
    with pytest.MonkeyPatch.context() as patch:
        order(told)
        for _, (_, each) in sorted(REGISTRY.by_type.items()):
            for example in each.examples:
                say(told, each, planted(each, example, told))
        ask_for_changes(told)
        say_it_wrong(told)
        say_it_into_a_fault(told, patch)
    last = fresh("RK")
    assert world.phone.send(field_event("item.loaded", {"item_id": last}))[0]["status"] == "accepted"
    world.ears["operator"].about(f"item/{last}")
    return told


def hits(data: bytes) -> list[bytes]:
    """Find canaries in bytes, and in bytes that are written in hexadecimal."""
    whole = [data, *(bytes.fromhex(found.decode()) for found in HEX.findall(data))]
    return [data[max(0, found.start() - 60) : found.end() + 20] for data in whole for found in SIGNS.finditer(data)]


def test_most_services_took_what_was_planted_and_the_entitled_account_can_read_it(made: Planted) -> None:
    assert len(made.accepted) > 0.5 * len(REGISTRY.by_type)
    assert made.count > 50
    (task,) = made.tasks
    own = made.world.pharmacy.ask("GET", f"/v1/tasks/{task}")
    assert hits(own.body)


def test_no_canary_is_in_the_log_and_one_would_be_found(made: Planted) -> None:
    assert len(made.log) > 1_000
    assert hits(made.log) == []
    assert hits(made.log + f" {WORD}".encode()) != []


def test_no_canary_is_in_metrics_or_in_what_is_open_to_everybody(made: Planted) -> None:
    for path in ("/metrics", "/healthz", "/readyz", "/v1/types", "/openapi.json", "/asyncapi.json", "/"):
        answer = made.world.service.ask("GET", path)
        assert answer.status == 200
        assert hits(answer.body) == [], path


def test_no_refusal_echoes_a_canary(made: Planted) -> None:
    assert len(made.refusals) > 40
    assert [found for body in made.refusals for found in hits(body)] == []


@pytest.mark.parametrize("name", ["nobody", "shop", "operator"])
def test_no_canary_reaches_an_account_that_did_not_order(made: Planted, name: str) -> None:
    caller = made.world.callers[name]
    feed = caller.feed()
    assert name != "operator" or len(feed) > 50
    assert hits(orjson.dumps(feed)) == []
    answers = [caller.event(f"evt_{event}") for event in made.ids]
    assert [found for answer in answers for found in hits(answer.body)] == []
    assert caller.ask("GET", f"/v1/tasks/{made.tasks[0]}").status == 404


@pytest.mark.parametrize("name", ["operator", "shop", "thin", "dispensary"])
def test_no_canary_is_in_what_endpoints_of_others_or_thin_ones_received(made: Planted, name: str) -> None:
    received = [message.body for message in made.world.ears[name].messages]
    assert name != "operator" or len(received) > 50
    assert [found for body in received for found in hits(body)] == []


def test_no_canary_is_in_the_live_stream_of_any_site(made: Planted) -> None:
    for site in (SITE, made.world.town.carriers[0].site):
        headers = session_of(made.world, "supervisor", site)
        with closing(Watch(made.world.service, {"Cookie": headers["Cookie"]})) as stream:
            kind, snapshot = stream.event()
        assert kind == "snapshot"
        assert hits(orjson.dumps(snapshot)) == [], site


def test_no_canary_lies_open_in_any_row_of_the_database(made: Planted) -> None:
    async def rows() -> list[tuple[str, bytes]]:
        async with made.world.service.platform.database.acquire() as connection:
            tables = await connection.fetch(
                "select relname as name from pg_class where relnamespace = 'public'::regnamespace"
                " and relkind in ('r', 'p') and not relispartition"
            )
            return [
                (table["name"], row[0].encode())
                for table in tables
                for row in await connection.fetch(f'select "{table["name"]}"::text from "{table["name"]}"')
            ]

    kept = made.world.service.call(rows())
    assert {name for name, _ in kept} >= {"event", "sealed", "task", "quarantine", "state"}
    assert [(name, found) for name, row in kept for found in hits(row)] == []
