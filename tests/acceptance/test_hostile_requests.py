"""Hostile requests: broken heads, wrong methods, paths that lead nowhere. Nothing is echoed, logged in full, or told of us."""

import re
import socket
from collections.abc import Sequence
from urllib.parse import quote

import orjson
import pytest

from tests.acceptance.conftest import World
from tests.acceptance.service import Answer, Caller, field_event, fresh, statuses
from tests.acceptance.test_hostile_bodies import CANARY, C, silent

CRLF = b"\r\n"


def raw(world: World, *lines: bytes, body: bytes = b"", end: bytes = CRLF) -> list[Answer]:
    """Send a request as bytes; return every answer until the connection is closed."""
    said = world.service.raw(end.join(lines) + end * 2 + body)
    answers = []
    while said:
        head, _, rest = said.partition(CRLF * 2)
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        size = int(headers.get("content-length", 0))
        answers.append(Answer(int(first.split(" ")[1]), headers, rest[:size]))
        said = rest[size:]
    return answers


def head(world: World, *more: bytes, path: bytes = b"/v1/events", version: bytes = b"HTTP/1.1") -> list[bytes]:
    token = b"Authorization: Bearer " + world.phone.secret.encode()
    return [b"POST %s %s" % (path, version), b"Host: x", token, b"Content-Type: application/json", *more]


ONLY_HEADS = [
    ("a header of 9,000 bytes", [b"GET /healthz HTTP/1.1", b"Host: x", b"X-Long: " + C * 900]),
    ("a URL of 9,000 bytes", [b"GET /healthz?%s HTTP/1.1" % (C * 900), b"Host: x"]),
    ("a header's name of 9,000 bytes", [b"GET /healthz HTTP/1.1", b"Host: x", C * 900 + b": x"]),
    ("200 headers", [b"GET /healthz HTTP/1.1", b"Host: x", *(b"X-%d: %s" % (n, C) for n in range(200))]),
    ("a NUL in a header", [b"GET /healthz HTTP/1.1", b"Host: x", b"X: \x00" + C]),
    ("a header without colon", [b"GET /healthz HTTP/1.1", b"Host: x", C]),
    ("a space before the colon", [b"GET /healthz HTTP/1.1", b"Host: x", b"X : " + C]),
    ("a folded header", [b"GET /healthz HTTP/1.1", b"Host: x", b"X: a", b" " + C]),
    ("an unknown version", [b"GET /%s HTTP/9.9" % C, b"Host: x"]),
    ("a method that is none", [b"G\x01T /%s HTTP/1.1" % C, b"Host: x"]),
    ("two Content-Lengths", [b"POST /v1/events HTTP/1.1", b"Host: x", b"Content-Length: 5", b"Content-Length: 6", b"X: " + C]),
    ("Content-Length and chunks", [b"POST /v1/events HTTP/1.1", b"Host: x", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: " + C]),
    ("a Content-Length of -1", [b"POST /v1/events HTTP/1.1", b"Host: x", b"Content-Length: -1", b"X: " + C]),
    ("a Content-Length with a plus", [b"POST /v1/events HTTP/1.1", b"Host: x", b"Content-Length: +5", b"X: " + C]),
    ("a Content-Length in words", [b"POST /v1/events HTTP/1.1", b"Host: x", b"Content-Length: " + C]),
    ("an unknown transfer encoding", [b"POST /v1/events HTTP/1.1", b"Host: x", b"Transfer-Encoding: " + C]),
    ("chunked that is not last", [b"POST /v1/events HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked, gzip", b"X: " + C]),
    ("a TLS hello", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + C]),
    ("another protocol", [b"SSH-2.0-" + C]),
]  # fmt: skip


@pytest.mark.parametrize("lines", [row[1] for row in ONLY_HEADS], ids=[row[0] for row in ONLY_HEADS])
def test_b12_a_broken_head_is_400_in_one_log_line_and_echoes_nothing(world: World, lines: list[bytes]) -> None:
    with silent(world) as answers:
        start = world.service.log.tell()
        answers.extend(raw(world, *lines))
        (answer,) = answers
        assert (answer.status, answer.code) == (400, "bad_request")
        assert "server" not in answer.headers
        lines_logged = [orjson.loads(line)["event"] for line in world.service.log.getvalue()[start:].splitlines()]
        assert lines_logged.count("http.refused") == 1


def test_b12_bare_line_feeds_do_not_end_a_line(world: World) -> None:
    with silent(world) as answers:
        answers.extend(raw(world, b"GET /healthz HTTP/1.1", b"Host: x", b"X: " + C, end=b"\n"))
        assert [answer.status for answer in answers] == [400]


def test_b12_a_request_of_http_0_9_gets_nothing_from_it(world: World) -> None:
    with silent(world) as answers:
        answers.extend(raw(world, b"GET /" + C))
        assert [answer.code for answer in answers] == ["not_found"]


def test_b12_broken_chunks_are_refused(world: World) -> None:
    for chunks in (b"zz\r\n" + C + b"\r\n0\r\n\r\n", b"5\r\n" + C + b"\r\n0\r\n\r\n", b"-1\r\n\r\n"):
        with silent(world) as answers:
            answers.extend(raw(world, *head(world, b"Transfer-Encoding: chunked"), body=chunks))
            assert {answer.status for answer in answers} == {400}
            assert all("server" not in answer.headers for answer in answers)


@pytest.mark.parametrize("packed", [b"[]", b"x\x9c", b"x\x9c\xcbH", b"\x00"])
def test_b10_a_packed_body_that_stops_short_is_refused_at_once(world: World, packed: bytes) -> None:
    lines = head(world, b"Content-Encoding: deflate", b"Content-Length: %d" % len(packed), b"Expect: 100-continue")
    with socket.create_connection(("127.0.0.1", world.service.port), timeout=5) as connection:
        connection.sendall(CRLF.join(lines) + CRLF * 2)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")  # the view waits for the body now
        connection.sendall(packed)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")


def test_b12_an_unknown_expectation_is_417_and_not_echoed(world: World) -> None:
    with silent(world) as answers:
        answers.extend(
            raw(world, *head(world, b"Expect: " + C, b"Content-Length: 2", b"Connection: close"), body=b"[]")
        )
        assert [(answer.status, answer.code) for answer in answers] == [(417, "expectation_failed")]
        assert "server" not in answers[0].headers


def test_a_phone_that_waits_for_100_continue_is_told_to_go_on(world: World) -> None:
    lines = head(world, b"Expect: 100-continue", b"Content-Length: 2", b"Connection: close")
    assert [answer.status for answer in raw(world, *lines, body=b"[]")] == [100, 200]


def test_b13_pipelined_uploads_are_answered_in_order(world: World) -> None:
    events = [field_event("item.loaded", {"item_id": fresh("RK")}) for _ in range(50)]
    one = b""
    for number, event in enumerate(events):
        body = orjson.dumps(event)
        more = [b"Content-Length: %d" % len(body)] + ([b"Connection: close"] if number == len(events) - 1 else [])
        one += CRLF.join(head(world, *more)) + CRLF * 2 + body
    answers = raw(world, one.removesuffix(CRLF * 2), body=b"", end=b"")
    ids = [answer.json()["results"][0]["id"] for answer in answers]
    assert ids == [event["id"] for event in events]


def test_no_answer_names_the_software_that_gave_it(world: World) -> None:
    paths = ["/healthz", "/v1/nowhere", "/v1/events", "/docs", "/openapi.json", "/sign-in/x", "/metrics"]
    for path in paths:
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            answer = world.service.ask(method, path)
            assert "server" not in answer.headers
            assert b"aiohttp" not in answer.body.lower()
            assert "aiohttp" not in str(answer.headers).lower()


def paths_of(world: World) -> list[str]:
    """List every route's path, its variables filled in."""
    found = {resource.canonical for resource in world.service.app.router.resources()}
    return sorted(re.sub(r"\{[^}]*\}", f"ep_{0:032x}", path) for path in found)


@pytest.mark.parametrize("method", ["TRACE", "PATCH", "PUT", "DELETE", "CONNECT", "MKCOL", "HEAD"])
def test_b13_methods_that_a_route_does_not_have_are_405_or_unauthorised(world: World, method: str) -> None:
    for path in paths_of(world):
        answer = world.service.ask(method, path, headers={"X-Canary": CANARY})
        allowed = {405, 404} if method in ("TRACE", "CONNECT", "MKCOL") else {200, 303, 401, 404, 405, 410}
        assert answer.status in allowed, (method, path, answer.status)
        assert C not in answer.body
        if answer.status == 405:
            assert answer.headers["allow"]
            assert answer.body == b"" or answer.code == "method_not_allowed"


def test_b13_a_method_that_nobody_has_is_a_bad_request(world: World) -> None:
    with silent(world) as answers:
        answers.append(world.service.ask(CANARY.upper(), "/healthz"))
        assert (answers[0].status, answers[0].code) == (400, "bad_request")


def test_b14_a_websocket_is_opened_nowhere(world: World) -> None:
    upgrade = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + b"A" * 22 + b"=="]  # fmt: skip
    for path in paths_of(world):
        lines = [b"GET %s HTTP/1.1" % path.encode(), b"Host: x", *upgrade]
        following = b"GET /v1/nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answers = raw(world, *lines, body=following)
        assert answers[0].status == 404, path
        assert "upgrade" not in answers[0].headers


PATHS = ["/v1/events/../../etc/passwd", "/v1/events/%2e%2e%2fetc%2fpasswd", "/v1/events/%00", "/v1/events/a%0d%0aX:%20y", "/v1/events/%e2%80%ae", "/v1/events/%ff", "/v1/events/" + "a" * 7000, "/v1/events/evt_", "/v1/events/evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44_99999999999", "/v1/events/evt_{019a8f3e-7c11-7d3a-9a51-0c5d8c1f2}", "/v1/runs/../sheet", "/v1/runs/%00/sheet", "/v1/runs/run-2026-11-21-%2e%2e/sheet", "/v1/runs/run-9999-12-31-T07/sheet", "/v1/runs/%ff/sheet", "/v1/endpoints/ep_%00", "/v1/endpoints/..%2f", "/v1/tasks/%00", "/v1/tasks/%ff", "/v1/tasks/..%2f..%2fetc", "/v1/tasks/" + "t" * 7000, "/sign-in/%00", "/sign-in/%ff%fe", "/sign-in/..%2f", "/static/../../etc/passwd", "/v1/feed/%00", "//v1/events", "/v1/events/", "/V1/EVENTS", "/.git/config", "/%", "/%zz", "/v1/events;a=b", "/" + quote(CANARY)]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=[path[:48] for path in PATHS])
def test_b15_no_path_leads_out_or_crashes(world: World, path: str) -> None:
    callers: Sequence[Caller] = [world.phone, world.operator]
    with silent(world) as answers:
        for caller in callers:
            for method in ("GET", "PATCH", "DELETE"):
                answer = caller.ask(method, path, {} if method == "PATCH" else None)
                answers.append(answer)
                assert answer.status in {400, 401, 403, 404, 405, 410}, (method, answer.status)
                assert b"root:" not in answer.body


QUERIES = ["after=%00", "after=" + CANARY, "limit=0", "limit=-1", "limit=99999999999999999999", "limit=%d9%a3", "wait=1e9", "wait=NaN", "types=%00", "types=" + "a." * 500, "types=" + CANARY + "%20", "after=%ff", "cursor=%00"]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=[query[:32] for query in QUERIES])
def test_strange_queries_are_bad_requests(world: World, query: str) -> None:
    with silent(world) as answers:
        for caller, path in ((world.operator, "/v1/feed"), (world.operator, "/v1/endpoints"), (world.phone, "/v1/me/receipts")):  # fmt: skip
            answer = caller.ask("GET", f"{path}?{query}")
            answers.append(answer)
            assert answer.status in (200, 400)
    assert 400 in {answer.status for answer in answers}


@pytest.mark.parametrize("name", ["Authorization", "X-CSRF-Token", "Idempotency-Key", "Last-Event-ID", "Fieldsvc-Sent-At", "Content-Type", "Cookie", "If-None-Match", "Accept", "Accept-Language", "X-Forwarded-For"])  # fmt: skip
@pytest.mark.parametrize("value", [b"\xff\xfe" + C, "\u00e9\u0660".encode(), b"\x80" * 300, b"=;,\"'" + C])
def test_header_values_of_any_bytes_crash_nothing(world: World, name: str, value: bytes) -> None:
    task = {"service": "item", "subject": f"item/{fresh('RK')}", "delivery_point": "dp-117"}
    asked = [("POST", "/v1/events", [], world.phone), ("POST", "/v1/tasks", task, world.shop), ("GET", "/v1/feed", None, world.shop), ("GET", "/v1/runs/current", None, world.phone), ("GET", "/signed-in", None, world.phone), ("POST", "/sign-out", None, world.phone)]  # fmt: skip
    with silent(world) as answers:
        for method, path, body, caller in asked:
            answer = caller.ask(method, path, body, headers={name: value})
            answers.append(answer)
            assert answer.status < 500, (path, answer.status)
    assert len(answers) == len(asked)


def test_two_values_of_a_header_that_decides_are_not_mixed(world: World) -> None:
    other = b"Authorization: Bearer " + world.stranger.secret.encode()
    lines = head(world, other, b"Content-Length: 2", b"Connection: close")
    assert [answer.status for answer in raw(world, *lines, body=b"[]")] in ([200], [400], [401])


def test_after_all_this_the_service_still_works(world: World) -> None:
    assert world.service.ask("GET", "/readyz").json() == {"status": "ready", "missing": []}
    assert statuses(world.phone.send(field_event("item.loaded", {"item_id": fresh("RK")}))) == ["accepted"]
