"""The interface as its own OpenAPI document tells it, fuzzed by schemathesis and by raw bytes, in a service of its own process.

Every operation is called with valid and with invalid data, by everybody whom the document lets in and by somebody else in turn;
nearly right requests of any bytes by callers of every kind. The long form, by hand, in two stretches of at most nine minutes:

    FIELDSVC_FUZZ_EXAMPLES=100 python -m pytest -p no:cacheprovider tests/hostile/test_interface_fuzz.py -k document
    FIELDSVC_FUZZ_EXAMPLES=350 python -m pytest -p no:cacheprovider tests/hostile/test_interface_fuzz.py -k bytes
"""

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fieldsvc.web.rights import TABLE
from tests.hostile.everybody import filled
from tests.hostile.target import Line, Target, target

EXAMPLES = int(os.environ.get("FIELDSVC_FUZZ_EXAMPLES", "1"))  # of an operation, in each of its two modes
MOST_S = float(os.environ.get("FIELDSVC_FUZZ_SECONDS", "540"))  # of a stretch: after that nothing more is sent
MOST_GROWTH_MB = 50
ENDLESS = "/v1/live"  # a stream: tests/acceptance/test_live.py
CONFORMS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OURS = {"authorization", "cookie", "x-csrf-token", "x-okapi-key", "accept", "host", "connection"}  # the test's to set
KINDS = {"device": ["device"], "device_basic": ["device_basic"], "api_key": ["account"], "okapi_key": ["okapi"]}
PEOPLE = ["supervisor", "operator", "adviser"]
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES < 10,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
pytestmark = pytest.mark.filterwarnings("ignore")  # what schemathesis thinks of a document is said by its checks


@dataclass
class Fuzz:
    """What is called, what was answered, and what was wrong with it."""

    target: Target
    session: requests.Session = field(default_factory=requests.Session)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    turn: Iterator[int] = field(default_factory=itertools.count)
    ends_at: float = field(default_factory=lambda: time.monotonic() + MOST_S)

    def callers(self, operation: Any) -> list[str]:
        """Name whom the document lets in, and somebody else in turn."""
        asked = operation.definition.raw.get("security") or [{}]
        named = [PEOPLE if "session" in each else next((KINDS[name] for name in each), ["nobody"]) for each in asked]
        insiders, everybody = list(dict.fromkeys(itertools.chain(*named))), list(self.target.who)
        if EXAMPLES < 10:
            insiders = [insiders[next(self.turn) % len(insiders)]]
        return [*insiders, everybody[next(self.turn) % len(everybody)]]

    def call(self, case: Case, kind: str) -> None:
        """Make one call and check the answer against the document."""
        case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() not in OURS}
        case.cookies = {}
        if case.path.startswith("/v1/endpoints") and isinstance(case.body, dict) and "url" in case.body:
            case.body["url"] = "http://127.0.0.1:9/"  # nothing of this leaves the machine
        found = case.call(self.target.url, self.session, self.target.who[kind], timeout=20, allow_redirects=False)
        self.session.cookies.clear()
        self.statuses[found.status_code] += 1
        if found.status_code >= 500 and case.path != "/readyz":
            self.wrong[f"{case.method} {case.path} -> {found.status_code}: {case.as_curl_command()}"] += 1
        try:
            case.validate_response(found, checks=CONFORMS)
        except BaseExceptionGroup as several:
            self.wrong.update(f"{case.method} {case.path} {str(each)[:600]}" for each in several.exceptions)
        except AssertionError as one:
            self.wrong[f"{case.method} {case.path} {str(one)[:600]}"] += 1

    def own(self, operation: Any) -> dict[str, str]:
        """Name one's own thing in the path."""
        pairs = itertools.pairwise(operation.path.split("/"))
        return {part[1:-1]: self.target.names[before] for before, part in pairs if part.startswith("{")}

    def fuzz(self, operation: Any, mode: GenerationMode) -> None:
        """Call an operation with what schemathesis makes of its description."""

        @FUZZED
        @given(case=operation.as_strategy(generation_mode=mode))
        def each(case: Case) -> None:
            if "{" in operation.path and operation.method != "delete" and next(self.turn) % 4:
                case.path_parameters = self.own(operation)
            for kind in self.callers(operation) if time.monotonic() < self.ends_at else ():
                self.call(case, kind)

        try:
            each()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # an operation without anything that could be wrong


@pytest.fixture(scope="module")
def fuzzed(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    with target(postgres_url, Path(tmp_path_factory.mktemp("fuzz"))) as found:
        made = Fuzz(found)
        yield made
        made.session.close()


def operations(fuzzed: Fuzz) -> list[Any]:
    document = fuzzed.session.get(f"{fuzzed.target.url}/openapi.json", timeout=20).json()
    found = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    return [each for each in found if each.path != ENDLESS]


def told(fuzzed: Fuzz, before_mb: float) -> str:
    growth = fuzzed.target.rss_mb() - before_mb
    assert fuzzed.target.faults() == []
    assert not fuzzed.wrong, "\n\n".join(f"{count} x {what}" for what, count in fuzzed.wrong.most_common(8))
    assert growth < MOST_GROWTH_MB, growth
    return f"{sum(fuzzed.statuses.values())} requests, 0 5xx, RSS {before_mb:.0f} MB and {growth:+.0f} MB"


def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(
    fuzzed: Fuzz, note: Callable[[str], None]
) -> None:
    every = operations(fuzzed)
    for operation in every:  # once each, so that what is kept for good is there before memory is measured
        fuzzed.call(operation.Case(path_parameters=fuzzed.own(operation)), fuzzed.callers(operation)[0])
    before_mb = fuzzed.target.rss_mb()
    for operation, mode in itertools.product(every, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)):
        if time.monotonic() < fuzzed.ends_at:
            fuzzed.fuzz(operation, mode)
    note(f"schemathesis: {told(fuzzed, before_mb)}; answers {dict(sorted(fuzzed.statuses.items()))}")


words = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="{"), min_size=1, max_size=12)
values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
bodies = st.one_of(
    st.none(), st.binary(max_size=300), st.text(max_size=80).map(str.encode), st.sampled_from([b"{}", b"[]"])
)


@st.composite
def raw(draw: st.DrawFn) -> tuple[str, str, dict[str, Any], bytes | None]:
    """Draw a method, a path that is nearly one of ours, headers and a body."""
    method, template = draw(st.sampled_from(sorted(TABLE)))
    method = draw(st.sampled_from([method] * 6 + ["GET", "PATCH", "DELETE", "TRACE", "OPTIONS"]))
    path = "/".join(
        draw(words) if part.startswith("{") and draw(st.booleans()) else part for part in template.split("/")
    )
    query = "&".join(f"{name}={value}" for name, value in draw(st.lists(st.tuples(words, words), max_size=2)))
    path = draw(st.sampled_from([path, f"{path}?{query}", path, "/" + draw(words)])).replace("#", "%23")
    headers = {
        name: value.encode("latin-1") for name, value in draw(st.dictionaries(NAMES, values, max_size=3)).items()
    }
    return method, path, headers, draw(bodies)


NAMES = st.sampled_from(
    (
        "Content-Type Content-Encoding Idempotency-Key Last-Event-ID If-None-Match Accept-Language X-Forwarded-For "
        "Request-Token Content-Range Range Fieldsvc-Sent-At Forwarded Origin Sec-Fetch-Site Host"
    ).split()
)


def test_whatever_bytes_come_nothing_crashes(fuzzed: Fuzz, note: Callable[[str], None]) -> None:
    line, everybody = fuzzed.target.line(), list(fuzzed.target.who.values())
    before_mb = fuzzed.target.rss_mb()
    fuzzed.statuses.clear()
    fuzzed.ends_at = time.monotonic() + MOST_S

    @settings(FUZZED, max_examples=20)
    @given(sent=raw())
    def each(sent: tuple[str, str, dict[str, Any], bytes | None]) -> None:
        method, path, headers, body = sent
        if ENDLESS in path or (method == "DELETE" and "{" in path):
            return
        path = filled(path, fuzzed.target.names) if "{" in path else path
        for who in everybody:
            _ask(fuzzed, line, {**who, **headers}, method, path, body)

    for _ in range(EXAMPLES):
        if time.monotonic() < fuzzed.ends_at:
            each()
    line.close()
    note(f"raw requests: {told(fuzzed, before_mb)}")


def _ask(fuzzed: Fuzz, line: Line, headers: dict[str, Any], method: str, path: str, body: bytes | None) -> None:
    answer = line.ask(headers, method, path.encode("ascii", "ignore").decode(), body)
    fuzzed.statuses[answer.status] += 1
    if answer.status >= 500 and path != "/readyz":
        fuzzed.wrong[f"{method} {path} {headers} {body!r} -> {answer.status}"] += 1
