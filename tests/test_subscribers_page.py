"""docs/subscribers.md promises nothing that is not built: every route, header, setting, option and figure in it is the code's."""

import argparse
import json
import re
from pathlib import Path

import jsonschema
import orjson
import pytest

from fieldsvc.certifying.report import Report
from fieldsvc.cli import _parser
from fieldsvc.publishing import posting, throttle, webhooks
from fieldsvc.publishing.addresses import PORTS
from fieldsvc.publishing.breaker import Limits
from fieldsvc.publishing.conditions import _OPERATORS, checked_condition
from fieldsvc.publishing.endpoints import MOST_ENDPOINTS, OVERLAP_S
from fieldsvc.publishing.feed import PING_S
from fieldsvc.publishing.formats.catalogue import FORMATS
from fieldsvc.publishing.outage import STEPS, Patience
from fieldsvc.publishing.retry import JITTER, LONGEST_WAIT_S
from fieldsvc.publishing.signing import TOLERANCE_S
from fieldsvc.publishing.tools import LaneLimits
from fieldsvc.settings import DEFAULT_SCHEDULE, Settings
from fieldsvc.store.replays import MOST_OPEN
from fieldsvc.web.documents import every_router, openapi
from fieldsvc.web.endpoint_bodies import NewEndpoint
from fieldsvc.web.subscriber import LONGEST_WAIT_S as LONGEST_FEED_WAIT_S
from handlers.registry import discover

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "subscribers.md").read_text(encoding="utf-8")
WORDS = re.sub(r"\s+", " ", PAGE)
PROSE = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
SPANS = re.findall(r"`([^`\n]+)`", PROSE)
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SECONDS = {"s": 1, "min": 60, "h": 3600}


def section(title: str) -> str:
    """Return what stands under a heading, until the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PROSE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """Return the cells of the tables under a heading."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|---")]


def test_every_route_of_the_page_is_one_of_the_service() -> None:
    known = {(route.method, route.resource.canonical) for route in every_router().routes() if route.resource}
    named = {tuple(span.split(" ")[:2]) for span in SPANS if re.match(r"(GET|POST|PUT|PATCH|DELETE) /v1/", span)}
    plain = {(method, re.sub(r"\?.*", "", path)) for method, path in named}
    assert len(plain) >= 20
    assert plain - {(method, re.sub(r":[^}]*\}", "}", path)) for method, path in known} == set()


def test_every_route_of_endpoints_and_events_stands_on_the_page() -> None:
    paths = {route.resource.canonical for route in every_router().routes() if route.resource}
    own = {path for path in paths if path.startswith(("/v1/endpoints", "/v1/feed", "/v1/events/"))}
    named = {re.sub(r"\?.*", "", word) for span in SPANS for word in span.split() if word.startswith("/v1/")}
    assert own - named == set()


def test_every_header_of_the_page_is_in_the_code() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "fieldsvc").rglob("*.py")).lower()
    named = {
        word for span in SPANS for word in re.findall(r"(?:Fieldsvc|WebHook|webhook|Retry|Last|Nats)-[A-Za-z-]+", span)
    }
    assert {"Fieldsvc-Replay", "Fieldsvc-Test", "Retry-After", "webhook-retry", "WebHook-Allowed-Rate"} <= named
    assert {name for name in named if f'"{name.lower()}"' not in code} == set()


def test_every_setting_and_every_word_of_a_command_is_one() -> None:
    named = set(re.findall(r"FIELDSVC_([A-Z_]+)", PAGE))
    assert {name.lower() for name in named} <= set(Settings.model_fields)
    commands = next(action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)).choices
    for line in re.findall(r"fieldsvc ((?:certify|listen)[^`\n]*)", PAGE):
        assert line.split()[0] in commands
    options = {
        option
        for name in ("certify", "listen")
        for action in commands[name]._actions
        for option in action.option_strings
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) - options == {"--sandbox"}


def test_the_table_of_options_is_what_an_endpoint_takes() -> None:
    named = {name for cell, *_ in rows("What you can ask of an endpoint") for name in re.findall(r"`(\w+)`", cell)}
    assert named == {field.alias or name for name, field in NewEndpoint.model_fields.items()}


def test_the_operators_of_filters_are_those_that_there_are_and_the_example_is_one() -> None:
    assert set(re.findall(r"\$\w+", section("Filters"))) == set(_OPERATORS.split(", "))
    (example,) = [json.loads(text) for name, text in FENCES if name == "json" and "$startsWith" in text]
    assert checked_condition(example) == example


def test_the_table_of_formats_names_each_with_its_media_type() -> None:
    found = {name.strip("`"): media.strip("`") for name, media, *_ in rows("Formats")[1:]}
    assert found == {each.name: each.media_type for each in FORMATS.values()}
    assert f"`{FORMATS['cloudevents'].batch_media_type}`" in WORDS


def test_the_types_that_the_page_names_are_published() -> None:
    known = {*discover().public, "endpoint.tested"}
    kinds = ("item", "endpoint", "attempt", "lag", "person", "event")
    named = {span for span in SPANS if re.fullmatch(rf"(?:{'|'.join(kinds)})\.[a-z_]+", span)}
    assert "person.erased" in named
    assert named - known == set()


def test_the_schedule_on_the_page_is_the_services() -> None:
    (waits,) = [row for row in rows("Answers and retries") if row[0] == "wait before it"]
    found = [float(number) * SECONDS[unit] for number, unit in (cell.split() for cell in waits[1:])]
    assert found == list(DEFAULT_SCHEDULE)


@pytest.mark.parametrize(
    ("says", "is_so"),
    [
        ("each wait up to 20 % shorter or longer", JITTER == 0.2),
        ("at most a day", LONGEST_WAIT_S == 86_400),
        ("5 s to connect, 15 s in all", (webhooks.CONNECT_TIMEOUT_S, webhooks.TOTAL_TIMEOUT_S) == (5, 15)),
        ("kept in the log of attempts (4 KiB)", posting.BODY_KEPT == 4096),
        ("within 15 s", webhooks.TOTAL_TIMEOUT_S == 15),
        ("longer than 2 s", LaneLimits().slow_s == 2),
        ("requests at once at most, up to 64", LaneLimits().in_flight == 8),
        ("Three refused connections in a row", Limits().unreachable == 3),
        ("70 % of at least ten requests in five minutes", (Limits().share, Limits().requests, Limits().window_s) == (0.7, 10, 300)),
        ("after 30 s, then after twice as long each time, up to 10 minutes", (Limits().first_open_s, Limits().longest_open_s) == (30, 600)),
        ("Five good answers", Limits().successes == 5),
        ("50, 70, 90 % of five days", STEPS == (50, 70, 90, 100) and Patience().after.days == 5),
        ("over 15 minutes old", Settings.model_fields["lag_high_s"].default == 900),
        ("An account has at most 100", MOST_ENDPOINTS == 100),
        ("for 24 hours", OVERLAP_S == 86_400),
        ("up to 60 seconds", LONGEST_FEED_WAIT_S == 60),
        ("says something every 15 seconds", PING_S == 15),
        ("100 events or 256 KiB", LaneLimits().batch_bytes == 256 * 1024),
        ("port 443 or 8443", sorted(PORTS) == [443, 8443]),
        ("side replays of one endpoint that have not ended | 10 |", MOST_OPEN == 10),
        ("at most five minutes", TOLERANCE_S == 300),
        ("a tenth back for every second", throttle.REGAINED_IN_S == 10),
        ("| 429, 502, 503, 504, or nothing in time |", sorted(throttle.TOO_FAST) == [429, 502, 503, 504]),
    ],
)  # fmt: skip
def test_a_figure_of_the_page_is_the_codes(says: str, is_so: bool) -> None:
    assert is_so
    assert says.replace("**", "") in WORDS.replace("**", "")


def test_the_report_and_its_schema_are_those_that_certify_reads() -> None:
    (example,) = [text for name, text in FENCES if name == "json" and '"applied": [' in text and "$defs" not in text]
    (schema,) = [json.loads(text) for name, text in FENCES if name == "json" and "$defs" in text]
    assert schema == Report.model_json_schema()
    jsonschema.validate(json.loads(example), schema)
    assert Report.model_validate_json(example).erased == ["ref-77"]


def test_the_example_of_an_event_has_the_members_of_a_real_one() -> None:
    (example,) = [orjson.loads(text) for name, text in FENCES if name == "json" and "specversion" in text]
    schema = openapi()["components"]["schemas"]
    envelope = next(each for name, each in schema.items() if name == "PublicEvent" or name.endswith("PublicEnvelope"))
    assert set(example) <= set(envelope["properties"])


def test_links_within_the_page_and_to_its_neighbours_lead_somewhere() -> None:
    heads = {
        re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-")
        for head in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", PROSE):
        if target.startswith("#"):
            assert target[1:] in heads, target
        elif not target.startswith("https://"):
            assert (ROOT / "docs" / target).is_file(), target
