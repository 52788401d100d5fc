"""The hostile input of trust.md §2b over every route: what is sent, to which route, and that nothing of it comes back.

The routes come from the table of rights, and a service whose routes are not all in that table does not start. A new route
needs a name for what its path holds (`tests/hostile/everybody.py`) and a body that is nearly good (`bodies`, here). Each run
tries a part of the values at each route, every value somewhere; `FIELDSVC_HOSTILE_FULL=1` tries every value at every route.
"""

import gzip
import itertools
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import pytest

from fieldsvc import errors
from fieldsvc.web.documents import openapi
from fieldsvc.web.rights import TABLE
from fieldsvc.web.rights_row import Credential
from tests.acceptance.conftest import SITE, World, a_world
from tests.acceptance.service import BATCH, JSON, Answer, field_event
from tests.hostile import everybody
from tests.hostile.everybody import ADDRESS, LATER, POSTCODE, Headers
from tests.hostile.target import Line

CANARY, HERE = "canary_8613", "@@"
C = CANARY.encode()
FORM, OCTETS, PATCH = "application/x-www-form-urlencoded", "application/octet-stream", "application/merge-patch+json"
FULL = bool(os.environ.get("FIELDSVC_HOSTILE_FULL"))
Route = tuple[str, str]
T = TypeVar("T")
ROUTES: Sequence[Route] = sorted(TABLE)
ENDLESS = ("GET", "/v1/live")  # a stream: it is asked by HEAD here
OF_PEOPLE = ("/suivi", "/mail", "/partner", "/integrations", "/counter", "/adviser", "/staff")
PAGES = {"/sign-in/{token}", "/signed-in", "/sign-out"}  # their refusals are pages for people, too
PAGE_OF_NOTHING = {303, 400, 404, 410, 415}  # leads to the sign-in, is over, or takes forms alone
A_REQUEST, GUESSED_AT = "/suivi/demandes/{ref}/{token}", {429}  # who is wrong too often at a link of a request waits
PAGES |= {path for _, path in TABLE if path.startswith(OF_PEOPLE) and not path.startswith("/suivi/v2/")}
SAYS_ITS_NAMES = {"/suivi/v2/idships/{ids}"}  # in the form that La Poste's Suivi has: an id and a code, and no problem
APPS = {"/owntracks", "/osmand/{token}"}  # of others: whatever comes is answered 200 and kept aside, or a queue blocks
EVENTS = {"/v1/events", "/v1/positions"}
CALLERS = ("account", "supervisor", "device", "operator", *everybody.PERSONS)

NUMBERS = [
    b"null",
    b"true",
    b"-1.5",
    b"1e400",
    b"1e400000",
    b"NaN",
    b"2147483648",
    b"9223372036854775808",
    b"9" * 5000,
    b'"NaN"',
]
TIMES = [b"1700000000", b'"1700000000"', b'"0001-01-01"', b'"9999-12-31"', b'"2026-W47-7"', b'"0001-01-01T00:00:00+14:00"',
    b'"9999-12-31T23:59:59-14:00"', b'"2026-11-21T09:42:60Z"', b'"2026-11-21T24:00:00Z"', b'"2026-11-21T09:42:17"']  # fmt: skip
TEXTS = [
    b'"canary_8613"', b'"canary_8613\\u0000"', b'{"canary_8613\\u0000":1}', b'"\\ud800canary_8613"', b'"../../canary_8613\\r\\nX: 1"', b'""',
    b'"' + b"x" * 10_000 + b'"', '"\u202ecanary_8613"'.encode(), '"\u0420\u041acanary_8613"'.encode(), b'"=cmd|canary_8613"',
    b'"<img src=x onerror=alert(1)>canary_8613"', b'"\'; drop table event; --canary_8613"',
]  # fmt: skip
SHAPES = [
    b"[]", b"{}", b"[" * 300 + b"]" * 300, b'{"a":' * 300 + b"1" + b"}" * 300, b'{"a":["canary_8613\\u0000"]}',
    b'{"a":1,"a":"canary_8613\\u0000"}', b"[" + b'"a",' * 9_999 + b'"a"]', b'{"lat":91,"lon":181}', b'{"lat":0,"lon":0}',
]  # fmt: skip
PIECES = [*NUMBERS, *TIMES, *TEXTS, *SHAPES]
NAMES = [
    "..%2f..%2fetc%2fpasswd", "canary_8613%00", "%0d%0aX:canary_8613", "canary_8613" * 700, "%ff", "%ed%a0%80", "%e2%80%aecanary_8613",
    "'%20or%20''='", "9" * 400, "%D0%A0%D0%9Acanary_8613", "canary_8613", "%3Cimg%20onerror%3Dcanary_8613%3E", "=cmd%7Ccanary_8613",
]  # fmt: skip
QUERIES = ["", "%00", "%ff", "x" * 6000, "0", "-1", "1001", "9" * 400, "%D9%A1", "0001-01-01", "9999-12-31", "2026-02-30", "0001-01",
    "AAAA", "OTk5OS0xMi0zMSBh", "%C3%A9", "canary_8613", "NaN", "%ed%a0%80", "%3Cimg%3Ecanary_8613", "181,91,-181,-91"]  # fmt: skip
HEADERS = (
    "Authorization Cookie X-CSRF-Token X-Okapi-Key Request-Token Idempotency-Key Last-Event-ID Fieldsvc-Sent-At Content-Type "
    "Content-Range Range If-None-Match If-Modified-Since Accept Accept-Language Accept-Encoding X-Forwarded-For Forwarded "
    "Host Origin Sec-Fetch-Site X-Request-Id Referer X-Limit-D Content-Encoding Date"
).split()
VALUES = [
    b"\xff\xfe" + C,
    "é٠".encode() + C,
    b"\x80" * 300,
    b"=;,\"'" + C,
    b"bytes 0-1/99999999999999999999" + C,
    C * 700,
]


def bodies(day: str, later: str) -> dict[Route, Any]:
    """Give every route that takes a body one that is nearly good."""
    counts, about = (
        {"items": 1, "pouches": 1, "keys": 1},
        {"postcode": POSTCODE, "neighbour": "x", "place": "x", "proxy": "x"},
    )
    contact = {"email": "a@b.invalid", "mobile": "+33639980000", "lang": "fr"}
    place = {"round_id": "T07", "after_stop_id": "st-115", "before_stop_id": "st-116", "lat": 1.0, "lon": 2.0}
    window = {"from": f"{day}T08:00:00Z", "until": f"{day}T09:00:00Z"}
    order = {
        "service": "lesson",
        "subject": "item/x",
        "on": day,
        "window": window,
        "requirements": ["a"],
        "details": {},
    }
    row = {"day": later, "round_id": "T99", "carrier": "x", "qualifications": [], "absence": None, "starts_at": "07:30"}
    fix = {"lat": 48.9, "lon": 2.1, "at": f"{day}T08:00:00Z", "accuracy_m": 8.0, "speed_mps": 1.0}
    away = {"day": later, "carrier": "x", "kind": "sick"}
    return {
        ("POST", "/v1/events"): field_event("trust.dispute_opened", {"event_id": "evt_x", "text": "x"}),
        ("POST", "/v1/positions"): {"positions": [fix]},
        ("POST", "/owntracks"): {"_type": "location", "lat": 48.9, "lon": 2.1, "tst": 1700000000, "acc": 8, "tid": "x"},
        ("POST", "/osmand/{token}"): {
            "location": {"timestamp": f"{day}T08:00:00Z", "coords": {"latitude": 1.0, "longitude": 2.0}}
        },
        ("PUT", "/v1/roster"): {"rows": [row], "absences": [away], "carriers": [], "usual_start": "07:30"},
        ("POST", "/v1/runs/{id}/reassign"): {"to_carrier": "x"},
        ("POST", "/v1/runs/{id}/split"): {"to_run": "x", "stops": {"from": "a", "to": "b"}, "task_ids": None},
        ("POST", "/v1/runs/{id}/handover"): {"to_run": "x", "counts": counts, "taken": counts},
        ("POST", "/v1/cover/proposals"): {"site": SITE, "day": later, "absent": ["x"], "working_time_h": 8},
        ("POST", "/v1/delivery-changes"): {
            "kind": "hold",
            "item_id": "x",
            "from": later,
            "details": {**about, "contact": contact},
        },
        ("POST", "/v1/delivery-changes/{id}/confirm"): {"code": "ABCD", "answer": "confirms"},
        ("POST", "/v1/delivery-changes/{id}/cancel"): {"reason": "asked", "token": "x"},
        ("POST", "/v1/delivery-changes/{id}/stop"): {"reason": "asked", "token": "x"},
        ("POST", "/v1/alerts/{id}/ack"): {"comment": "x"},
        ("POST", "/v1/alerts/{id}/assign"): {"to": "desk:everybody", "comment": "x"},
        ("PUT", "/v1/desks/{name}"): {"hours": "never", "contact": {"email": "x@y.invalid", "mobile": None}},
        ("POST", "/v1/address-changes/{id}/confirm"): {"reason": "x", "place": place},
        ("POST", "/v1/address-changes/{id}/reject"): {"reason": "x"},
        ("POST", "/v1/cases/{id}/close"): {"outcome": "upheld", "reason": "x"},
        ("POST", "/v1/devices/codes"): {"carrier": "x", "round": "T99", "replaces": "d-9999"},
        ("POST", "/v1/devices/enrol"): {"code": "AAAA-BBBB-CCCC-DDDD"},
        ("POST", "/v1/tasks"): {**order, "address": ADDRESS},
        ("PATCH", "/v1/tasks/{id}"): {"window": window, "notes": "x", "requirements": ["a"]},
        ("POST", "/v1/endpoints"): {
            "url": "https://127.0.0.1:22/",
            "types": ["item.delivered"],
            "thin": True,
            "from": "x",
            **ENDPOINT_OPTIONS,
        },
        ("PATCH", "/v1/endpoints/{id}"): {
            "url": "https://127.0.0.1:22/",
            "types": ["item.missing"],
            "thin": True,
            **ENDPOINT_OPTIONS,
        },
        ("POST", "/v1/endpoints/{id}/secret/rotate"): {"overlap_s": 0},
        ("POST", "/v1/endpoints/{id}/resume"): {"from": "cursor"},
        ("POST", "/v1/endpoints/{id}/replay"): {"mode": "rewind", "from": "oldest"},
        ("POST", "/v1/endpoints/{id}/recover"): {"since": "2026-01-01T00:00:00Z"},
        ("POST", "/v1/endpoints/{id}/resend"): {"event_id": "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"},
    }


ENDPOINT_OPTIONS = {
    "mode": "subject", "batch": 2, "format": "cloudevents", "filter": {"data": {"a": {"$in": ["x"]}}}, "sites": ["x"],
    "postcodes": ["93"], "headers": {"X-A": "x"}, "bearer": "x", "rate_per_s": 1.5, "in_flight": 2, "on_exhausted": "block",
    "schedule": [0, 1.5], "description": "x",
}  # fmt: skip
BODILESS = {
    ("POST", path) for path in (
        "/suivi/{token}/modifier", "/suivi/reexpedition", "/suivi/demandes/{ref}/{token}", "/suivi/stop/{ref}/{token}",
        "/suivi/demandes/{ref}/{token}/modifier",
        "/suivi/{token}/contester", "/suivi/{token}/satisfaction", "/suivi/foyer/adresse", "/suivi/foyer/{id}/code",
        "/suivi/foyer/{id}/consignes", "/suivi/foyer/{id}/boite", "/suivi/foyer/{id}/quitter",
        "/partner/find", "/partner/new/{service}", "/partner/orders/{id}/cancel", "/partner/orders/{id}/say",
        "/partner/orders/{id}/change",
        "/sign-in/{token}", "/sign-out", "/v1/cover/proposals/{id}/confirm", "/v1/endpoints/{id}/pause",
        "/counter", "/counter/items/{item_id}", "/suivi/{token}/ici", "/adviser", "/adviser/cases/{id}",
        "/adviser/items/{item_id}/cases", "/adviser/items/{item_id}/change", "/adviser/changes/{id}",
        "/suivi/sign-in", "/suivi/sign-in/code", "/suivi/compte/close",
        "/suivi", "/suivi/avis", "/suivi/{token}/preuve", "/v1/endpoints/{id}/test", "/v1/endpoints/{id}/replays/{rid}/pause", "/v1/endpoints/{id}/replays/{rid}/resume",
        "/mail/{token}", "/integrations/keys", "/integrations/keys/mail", "/integrations/keys/{id}/revoke",
        "/integrations/sandbox", "/integrations/sandbox/orders", "/integrations/certify",
        "/integrations/endpoints/new", "/integrations/endpoints/{id}", "/integrations/endpoints/{id}/edit",
        "/integrations/endpoints/{id}/secret", "/integrations/endpoints/{id}/test", "/integrations/endpoints/{id}/resend",
    )
} | {("PUT", "/v1/media/{sha256}"), ("POST", "/v1/relays")}  # fmt: skip


def gzipped(size: int) -> bytes:
    """Pack a JSON text of so many bytes, piece by piece."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(b'["'), *(packer.compress(b"x" * 1_000_000) for _ in range(size // 1_000_000))]
    return b"".join((*parts, packer.compress(b'"]'), packer.flush()))


NOT_JSON = [b"{", b'{"a":NaN}', b'{"a":-Infinity}', b"\xff\xfe{}", b"\xef\xbb\xbf{}", b'{"\xe9":1}', '{"a":1}'.encode("utf-16"),
    b"[" * 100_000, b'{"a":"\xed\xa0\x80"}', b"{'a':1}", b"<a>canary_8613</a>", b'{"a":"\x00"}', b"{}{}", b"canary_8613"]  # fmt: skip
NO_OBJECT = [b"", b"[]", b"null", b'"canary_8613"', b"7"]
UNFIT = [
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"a":"canary_8613\\u0000"}',
    b'{"canary_8613\\ud800":1}',
    b'{"a":%s}' % (b"9" * 5000),
]
PACKED = [  # encoding, body, status
    ("gzip", gzip.compress(b"canary_8613" * 99)[:-12], {400}), ("gzip", C * 100, {400}), ("deflate", C * 100, {400}),
    ("gzip", gzip.compress(C)[:-8] + b"\x00" * 8, {400}), ("gzip, gzip", gzip.compress(gzip.compress(b"{}")), {415}),
    ("x-canary_8613", b"{}", {415}), ("br", C, {415}),
]  # fmt: skip
BOMB = gzipped(100_000_000)
OTHER_TYPES = ("text/plain", "multipart/form-data; boundary=x", f"{JSON}; charset=utf-16", f"{CANARY}/x", FORM)


@dataclass
class Hall:
    """The service with everybody in it, and what went wrong so far."""

    world: World
    who: dict[str, Headers]
    names: dict[str, str]
    later: str
    line: Line
    documented: Mapping[Route, Mapping[int, set[str]]]
    faults: list[str] = field(default_factory=list)
    asked: int = 0
    turn: int = 0

    def some(self, things: Iterable[T], every: int) -> Iterator[T]:
        """Choose every so-many-th, going on where the last choice ended: all of them turn up at some route. In full, all."""
        for each in things:
            self.turn += 1
            if FULL or self.turn % every == 0:
                yield each

    def caller(self, route: Route) -> Headers:
        """Choose who calls: somebody whom the table of rights lets in."""
        row = TABLE[route]
        if row.credential is Credential.OKAPI:
            return self.who["okapi"]
        return next((self.who[kind] for kind in CALLERS if kind in row.own), {})

    def path(self, route: Route) -> str:
        """Fill the path in with what the caller owns; what changes a run changes one of later."""
        method, path = route
        runs = {"runs": f"run-{self.later}-T07"} if method == "POST" else {}
        return everybody.filled(path, {**self.names, **runs})

    def send(
        self, route: Route, path: str, body: bytes | None = None, *, expected: set[int] | None = None, **more: Any
    ) -> Answer:
        """Send one thing and judge the answer."""
        headers = {**self.caller(route), **more.pop("headers", {})}
        method = "HEAD" if route == ENDLESS else route[0]
        answer = self.line.ask(headers, method, path, body, **more)
        self.asked += 1
        said = f"{method} {route[1]} {path[:60] if path != self.path(route) else ''} {(body or b'')[:60]!r} {str(headers)[-80:] if more else ''}"
        self.faults += [f"{said} -> {answer.status} {wrong}" for wrong in self.wrong(route, answer, expected)]
        return answer

    def wrong(self, route: Route, answer: Answer, expected: set[int] | None) -> Iterator[str]:
        """Say what is wrong with an answer."""
        if answer.status >= 500:
            yield "a fault of ours"
        shown = answer.headers.get("content-type") == JSON and (answer.status < 300 or route[1] in SAYS_ITS_NAMES)
        if (C in answer.body.lower() and not shown) or CANARY in str(answer.headers).lower():
            yield "an echo"  # unless it is one's own thing that is shown
        if "server" in answer.headers or "x" in answer.headers:
            yield "a header that is not ours"
        if expected is not None and answer.status not in expected:
            yield f"expected {expected}"
        if answer.status >= 400 and answer.body and route[1] not in PAGES | SAYS_ITS_NAMES:
            yield from self._no_problem(route, answer)

    def _no_problem(self, route: Route, answer: Answer) -> Iterator[str]:
        if answer.headers.get("content-type") != "application/problem+json":
            yield f"not a problem: {answer.headers.get('content-type')}"
            return
        known = self.documented.get(route, {}).get(answer.status, set())
        if answer.code not in known and (answer.status, answer.code) not in EVERYWHERE:
            yield f"the code {answer.code} is not documented"


EVERYWHERE = {(each.status, each.code) for each in (errors.NotFound, errors.BadRequest, errors.Unauthorized, errors.UnsupportedMedia)} | {
    (400, "bad_body"), (405, "method_not_allowed"), (413, "too_large")
}  # fmt: skip


def codes(document: Mapping[str, Any]) -> dict[Route, dict[int, set[str]]]:
    """Read from the reference which codes each route answers with, by status."""
    found: dict[Route, dict[int, set[str]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            said = found.setdefault((method.upper(), path), {})
            for status, answer in operation["responses"].items():
                schema = answer.get("content", {}).get("application/problem+json", {}).get("schema", {})
                if status.isdigit() and "allOf" in schema:
                    said[int(status)] = set(schema["allOf"][1]["properties"]["code"]["enum"])
    return found


@pytest.fixture(scope="module")
def world(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service of its own: what is asked for here must still be possible, and elsewhere carriers come near."""
    with a_world(postgres_url, tmp_path_factory.mktemp("hostile")) as own:
        yield own


@pytest.fixture(scope="module")
def everyone(world: World) -> Iterator[Hall]:
    platform = world.service.platform
    who = world.service.call(everybody.callers(platform, world.service.url))
    line, later = Line(world.service.port), (world.day + LATER).isoformat()
    yield Hall(world, who, everybody.things(line.ask, who, world.day), later, line, codes(openapi()))
    line.close()


@pytest.fixture
def hall(everyone: Hall) -> Iterator[Hall]:
    """Nothing that a test sends is logged, and no answer to it is wrong."""
    start = everyone.world.service.log.tell()
    everyone.faults.clear()
    yield everyone
    assert not everyone.faults, "\n".join(everyone.faults[:40]) + f"\n{len(everyone.faults)} in all"
    assert CANARY not in everyone.world.service.log.getvalue()[start:].lower()


def test_every_route_has_a_name_for_its_path_and_a_body_that_is_nearly_good(hall: Hall) -> None:
    routes = {
        (each.method, each.resource.canonical) for each in hall.world.service.app.router.routes() if each.resource
    }
    assert {route for route in routes if route[0] != "HEAD"} <= set(ROUTES)
    for route in ROUTES:
        hall.path(route)
    given = bodies(hall.world.day.isoformat(), hall.later)
    assert {route for route in ROUTES if route[0] in ("POST", "PUT", "PATCH")} == set(given) | BODILESS


def media_type_of(route: Route) -> str:
    method, path = route
    return BATCH if path == "/v1/events" else PATCH if method == "PATCH" and "/tasks/" in path else JSON


def test_b03_b04_b09_b10_a_body_that_is_no_object_is_refused_by_every_route_that_takes_one(hall: Hall) -> None:
    for route in bodies("2026-01-01", "2026-01-03"):
        lenient = {200} if route[1] in APPS else set()
        loose = {200, 400} if route[1] in EVENTS else {200, 202, 400, 404, 409, 422, 429}
        path, kind = hall.path(route), {"Content-Type": media_type_of(route)}
        optional = {200} if route[1].endswith(("/ack", "/rotate", "/resume")) else set()  # no body is an answer, too
        for body in hall.some(NOT_JSON, 4):
            hall.send(route, path, body, headers=kind, expected=lenient or {400, 429})
        for body in hall.some((*NO_OBJECT, *UNFIT), 2):
            hall.send(route, path, body, headers=kind, expected=lenient or optional | loose)


def test_b10_too_much_is_413_and_what_cannot_be_unpacked_a_bad_body_on_every_route_that_takes_one(hall: Hall) -> None:
    much = b'{"a":"' + b"x" * 1_100_000 + b'"}'
    for route in bodies("2026-01-01", "2026-01-03"):
        path, kind = hall.path(route), {"Content-Type": media_type_of(route)}
        lenient = {200} if route[1] in APPS else set()
        for chunked in hall.some((False, True), 4):
            hall.send(route, path, much, headers=kind, chunked=chunked, expected=lenient or {413, 429})
        for bomb in hall.some((BOMB,), 5):
            hall.send(route, path, bomb, headers={**kind, "Content-Encoding": "gzip"}, expected=lenient or {413, 429})
        for encoding, body, expected in hall.some(PACKED, 3):
            sent = {**kind, "Content-Encoding": encoding}
            hall.send(route, path, body, headers=sent, expected=lenient | expected | {429})
        for other in hall.some(OTHER_TYPES, 3):
            hall.send(route, path, b'{"a":1}', headers={"Content-Type": other})


def test_routes_that_take_no_body_do_not_mind_one(hall: Hall) -> None:
    for route in sorted(set(ROUTES) - set(bodies("2026-01-01", "2026-01-03"))):
        for body in hall.some((b'{"canary_8613":NaN}', b"[" * 50_000, b"\x00\xff"), 3):
            hall.send(route, hall.path(route) if route[0] != "DELETE" else f"/v1/nothing/{len(body)}", body)


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """List the ways to every member inside a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inner:
        yield (name,)
        yield from ((name, *rest) for rest in places(member))


def with_piece(body: Any, way: tuple[Any, ...], piece: bytes) -> bytes:
    """Write a body with a piece of JSON at one place."""
    whole = orjson.loads(orjson.dumps(body))
    inner = whole
    for name in way[:-1]:
        inner = inner[name]
    inner[way[-1]] = HERE
    return orjson.dumps(whole).replace(orjson.dumps(HERE), piece)


def test_b01_to_b08_b15_to_b17_a_strange_member_is_a_problem_with_a_documented_code(hall: Hall) -> None:
    for route, body in bodies(hall.world.day.isoformat(), hall.later).items():
        path, kind = hall.path(route), {"Content-Type": JSON}
        if route[1] == "/v1/events":
            kind = {"Content-Type": "application/cloudevents+json"}
        for way in (*places(body), (CANARY,)):
            for piece in hall.some(PIECES, 17):
                hall.send(route, path, with_piece(body, way, piece), headers=kind)


def test_b15_a_strange_name_in_a_path_is_the_name_of_nothing(hall: Hall) -> None:
    for route in ROUTES:
        parts = route[1].split("/")
        if "{" not in route[1]:
            continue
        expected = {401, 404} if "osmand" in parts else PAGE_OF_NOTHING if route[1] in PAGES else {400, 404}
        expected = expected | GUESSED_AT if route[1].startswith(A_REQUEST) else expected
        body = b"{}" if route[0] in ("POST", "PUT", "PATCH") else None
        for name in hall.some(NAMES, 5):
            path = "/".join(name if part.startswith("{") else part for part in parts)
            hall.send(route, path, body, expected=expected | {200, 422} if body or "idships" in parts else expected)


def parameters(hall: Hall) -> Iterator[tuple[Route, str]]:
    """List the parameters of every route's query, and one that nobody knows."""
    document = openapi()["paths"]
    for route in ROUTES:
        known = document.get(route[1], {}).get(route[0].lower(), {}).get("parameters", [])
        yield from ((route, each["name"]) for each in known if each["in"] == "query")
        yield route, CANARY
    yield from ((("GET", "/supervision"), name) for name in ("lang", "theme", "site"))
    yield from (
        (("GET", "/osmand/{token}"), name)
        for name in ("lat", "lon", "timestamp", "accuracy", "speed", "bearing", "batt", "id")
    )


def test_a_strange_query_is_answered_or_refused(hall: Hall) -> None:
    for route, name in parameters(hall):
        if route[0] == "GET":
            for value in hall.some(QUERIES, 7 if name != CANARY else 19):
                expected = {200, 207, 303, 304, 400, 401, 404, 410, 422}
                expected = expected | GUESSED_AT if route[1].startswith(A_REQUEST) else expected
                hall.send(route, f"{hall.path(route)}?{name}={value}", expected=expected)


def test_a_header_of_any_bytes_crashes_nothing_and_is_not_echoed(hall: Hall) -> None:
    given = bodies(hall.world.day.isoformat(), hall.later)
    for route in ROUTES:
        body = orjson.dumps(given[route]) if route in given else None
        path = hall.path(route) if route[0] != "DELETE" else hall.path(route)[:-4] + "0000"
        for name, value in hall.some(itertools.product(HEADERS, VALUES), 37):
            hall.send(route, path, body, headers={name: value})


def test_after_all_this_the_service_still_works(hall: Hall, note: Callable[[str], None]) -> None:
    assert hall.world.service.ask("GET", "/readyz").json()["status"] == "ready"
    note(f"hostile matrix: {hall.asked} requests over {len(ROUTES)} routes, no 5xx, no echo, no undocumented code")
