"""Every route by every caller for their own thing and somebody else's: the exact status that the table of rights implies.

And what each reader is shown: the names of the members of every answer are those of fields_by_role.json, no more and no less.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.sites import EVERYWHERE
from fieldsvc.web import auth
from fieldsvc.web.rights import RIGHTS, TABLE
from fieldsvc.web.rights_row import ACCOUNT, ANYONE, CUSTOMER, DEVICE, Own, Row
from tests.acceptance.rights_stage import HEALTH, Asked, Stage, Thing, Try, Who, make_stage, prepare
from tests.acceptance.rights_tries import Tries, every_try
from tests.acceptance.service import Service
from tests.databases import drop_database, new_database

FIELDS = Path(__file__).with_name("fields_by_role.json")
OUTSIDERS = ("nobody", "bad token", "bad session", "revoked phone", "partner")  # who asks for what is open to anyone
UNSHOWN = {
    ("GET", "/v1/services"): "schemas of forms, of no person: tests/web/test_catalogue.py",
    ("GET", "/v1/supervision/health"): "which endpoints fail is a matter of moments: tests/web/test_health.py",
    ("GET", "/v1/kpis"): "counted by a job, in its own time: tests/reports/test_service.py",
    ("GET", "/v1/feed"): "fills while the matrix asks; each event alone is compared",
    ("GET", "/v1/audit"): "fills while the matrix asks",
    ("GET", "/v1/me/access"): "fills while the matrix asks",
    ("GET", "/v1/me/export"): "fills while the matrix asks",
}
ASKS_AGAIN = {("GET", "/v1/feed")}  # who calls, before each page: a second wall that no row opens
READS_NO_BODY = ("/v1/cover/proposals/{id}/confirm", "/v1/tasks/{id}")  # of a task, that it is over comes first
OPEN_ENDED = (
    "/v1/events",
    "/v1/positions",
    "/owntracks",
)  # what phones send: unknown members are kept aside or ignored
Route = tuple[str, str]


def theirs(own: Own, who: Who, about: Thing | None) -> bool:
    """Tell by the words of the table whether a thing is a caller's."""
    if about is None:
        return True
    here = who.site is not None and about.site == who.site
    anywhere = here or who.site is None
    match own:
        case Own.SITE | Own.DOORS:
            return here
        case Own.SITES:
            return anywhere
        case Own.ORDERS | Own.ENDPOINTS:
            return about.account == who.account
        case Own.EVENTS:
            return about.account == who.account or "operator" in who.scopes
        case Own.OFFICE:
            return about.account is None and anywhere
        case Own.DAY:
            return about.round_id == who.round_id
        case Own.PICTURES:
            return about.device == who.id
        case Own.REQUEST:
            return about.known or about.token == who.secret
    return True


def expected(row: Row, who: Who, attempt: Try) -> int:
    """Work out the one right answer of a route to a caller, from its row alone."""
    if ANYONE in row.own:
        return attempt.good
    if CUSTOMER in row.own and who.shows == "nothing":
        return attempt.good if theirs(row.own[CUSTOMER], who, attempt.about) else 404
    if who.shows == "nothing" or who.state == "bad":
        return 401
    if who.shows == "session" and not row.roles:
        return 401
    if who.kind not in row.own:
        return 404 if who.shows == "session" else 401
    if who.state == "revoked" or (who.state == "lost" and not row.lost_too):
        return 403
    if who.kind == ACCOUNT and row.scope is not None and row.scope not in who.scopes:
        return 403
    return attempt.good if theirs(row.own[who.kind], who, attempt.about) else 404


@pytest.fixture(autouse=True)
def _nothing_crashed(stage: Stage) -> Iterator[None]:
    """No test leaves a crash in the log."""
    start = stage.service.log.tell()
    yield
    said = stage.service.log.getvalue()[start:]
    for fault in ("request.crashed", "handler.failed", "journal.failed", "journal.bisected", "Traceback"):
        assert fault not in said, said[-3000:]


@pytest.fixture(scope="module")
def stage(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    url, folder = new_database(postgres_url), tmp_path_factory.mktemp("rights")
    service = Service(url, folder, prepare=prepare(folder))
    yield make_stage(service)
    service.close()
    drop_database(postgres_url, url)


@pytest.fixture(scope="module")
def tries(stage: Stage) -> Tries:
    return every_try(stage)


@pytest.fixture(scope="module")
def matrix(stage: Stage, tries: Tries, note: Callable[[str], None]) -> list[Asked]:
    began = time.perf_counter()
    found = asked(stage, tries, ((route, who) for route in TABLE for who in stage.whos.values()))
    note(f"rights matrix: {len(found):,} requests to {len(TABLE)} routes in {time.perf_counter() - began:.1f} s")
    return found


def asked(stage: Stage, tries: Tries, pairs: Iterable[tuple[Route, Who]]) -> list[Asked]:
    """Ask routes as callers: for everybody's things where the caller is one of the row's, else for the first."""
    found = []
    for route, who in pairs:
        row, many = TABLE[route], tries[route]
        if ANYONE in row.own and who.name not in OUTSIDERS:
            continue
        if who.kind not in row.own and CUSTOMER not in row.own:
            many = many[:1]
        found += [(route, row, who, number, each) for number, each in enumerate(many)]
    return stage.service.call(stage.send(found), within_s=280)


def wrong(tries: Tries, found: Iterable[Asked]) -> dict[Route, list[str]]:
    """List the answers that are not the ones that the table implies."""
    said: dict[Route, list[str]] = defaultdict(list)
    for each in found:
        right = expected(TABLE[each.route], each.who, tries[each.route][each.attempt])
        if each.status != right:
            said[each.route].append(f"{each.who.name}, thing {each.attempt}: {each.status}, not {right}")
    return dict(said)


@contextmanager
def loosened(stage: Stage, how: Callable[[Row], Row]) -> Iterator[None]:
    """Let the running service have looser rows than the table."""
    bound = stage.service.app[RIGHTS]
    before = dict(bound)
    bound.update({route: how(row) for route, row in before.items()})
    try:
        yield
    finally:
        bound.update(before)


def test_every_row_has_something_to_ask_for(tries: Tries) -> None:
    assert tries.keys() == TABLE.keys()


def test_every_answer_is_the_one_that_the_table_implies(tries: Tries, matrix: list[Asked]) -> None:
    assert wrong(tries, matrix) == {}


def test_a_row_that_was_opened_is_found_at_every_route(stage: Stage, tries: Tries) -> None:
    closed = [route for route, row in TABLE.items() if ANYONE not in row.own and route not in ASKS_AGAIN]
    pairs = [(route, stage.whos[name]) for route in closed for name in ("nobody", "customer")]
    with loosened(stage, lambda _row: Row({ANYONE: Own.NOTHING})):
        assert set(wrong(tries, asked(stage, tries, pairs))) == set(closed)


def test_a_row_that_forgot_lost_phones_or_its_scope_is_found(stage: Stage, tries: Tries) -> None:
    strict = [route for route, row in TABLE.items() if DEVICE in row.own and not row.lost_too]
    scoped = [route for route, row in TABLE.items() if ACCOUNT in row.own and row.scope is not None]
    pairs = [(route, stage.whos["lost phone"]) for route in strict] + [(route, stage.whos["owner"]) for route in scoped]
    with loosened(stage, lambda row: replace(row, lost_too=True, scope=None)):
        assert set(wrong(tries, asked(stage, tries, pairs))) == {*strict, *scoped}


def test_a_decision_about_sites_that_was_forgotten_is_found(
    stage: Stage, tries: Tries, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = [
        route
        for route, row in TABLE.items()
        if row.own.get("supervisor") is Own.SITE
        and tries[route][-1].query
        and "{" not in route[1]
        and route[0] == "GET"
    ]
    monkeypatch.setattr(auth, "sites_of", lambda _caller, _thing: EVERYWHERE)
    found = wrong(tries, asked(stage, tries, [(route, stage.whos["supervisor"]) for route in lists]))
    assert set(found) == set(lists)


def test_a_member_that_nobody_asked_for_is_refused(stage: Stage, tries: Tries) -> None:
    taking = [
        (route, number, each)
        for route, many in tries.items()
        for number, each in enumerate(many)
        if isinstance(each.body, dict) and route[1] not in (*READS_NO_BODY, *OPEN_ENDED)
    ]
    sent = []
    for route, number, each in taking:
        row = TABLE[route]
        able = (who for who in stage.whos.values() if who.kind in row.own and who.state == "good")
        who = next((who for who in able if expected(row, who, each) == each.good), stage.whos["nobody"])
        sent.append((route, row, who, number, replace(each, body={**each.body, "surprise": 1})))
    taken = [each for each in stage.service.call(stage.send(sent), within_s=280) if each.status not in (400, 422)]
    assert [(each.route, each.who.name, each.status) for each in taken] == []
    assert len({route for route, _, _ in taking}) >= 19


def shown(matrix: Iterable[Asked]) -> dict[str, dict[str, list[str]]]:
    """Map each read route and each kind of reader to the members of what they were given."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for each in matrix:
        row = TABLE[each.route]
        if each.route[0] != "GET" or ANYONE in row.own or each.route in UNSHOWN or each.status not in (200, 207):
            continue
        if each.body[:1] in (b"{", b"["):
            found[" ".join(each.route)][reader(each.who)].update(members(orjson.loads(each.body)))
    return {route: {who: sorted(names) for who, names in sorted(by.items())} for route, by in sorted(found.items())}


def reader(who: Who) -> str:
    """Name a kind of reader: an account with the scopes that change what it sees."""
    scopes = sorted(who.scopes & {"operator", "health"})
    return f"{who.kind} with {' and '.join(scopes)}" if scopes else who.kind


def members(value: Any, above: str = "") -> Iterator[str]:
    """List the members of a body by their places; what is null has a place too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield above + name
            yield from members(inner, f"{above}{name}.")
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner, f"{above.removesuffix('.')}[].")


def test_each_reader_is_shown_the_fields_that_were_agreed_and_no_other(matrix: list[Asked], tmp_path: Path) -> None:
    found = shown(matrix)
    said = tmp_path / FIELDS.name
    said.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    assert orjson.loads(FIELDS.read_bytes()) == found, f"if this is meant: cp {said} {FIELDS}"


def test_what_is_about_somebodys_health_is_shown_to_the_account_that_ordered_with_its_scope_alone(
    matrix: list[Asked],
) -> None:
    saw = {(reader(each.who), each.who.name) for each in matrix if HEALTH.encode() in each.body}
    assert saw == {("account with health", "owner")}


def test_a_list_holds_nothing_of_another_site_nor_of_another_account(stage: Stage, matrix: list[Asked]) -> None:
    foreign = {"supervisor": "far", "far supervisor": "near", "counter": "far", "owner": "far", "other": "near"}
    marks = {place: [name for key, name in stage.names.items() if key.startswith(place)] for place in ("near", "far")}
    leaks = [
        (each.route, each.who.name, mark)
        for each in matrix
        if each.route[0] == "GET" and each.status == 200 and "{" not in each.route[1] and each.who.name in foreign
        for mark in marks[foreign[each.who.name]]
        if mark.encode() in each.body
    ]
    assert leaks == []
