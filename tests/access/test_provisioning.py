"""Links, codes to scan and addresses, in the forms that the apps read."""

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET

import orjson
import pytest

from fieldsvc.access import provisioning, tokens
from fieldsvc.access.enrolment import credentials

BASE = "https://fieldsvc.example"


@pytest.fixture
def device() -> Mapping[str, Any]:
    return credentials(BASE, "d-0042", token=tokens.new_token(), passphrase=tokens.new_passphrase())


def owntracks_settings(link: str) -> dict[str, Any]:
    """Read a link as the Android app does: one parameter `inline`, in standard base64."""
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc, parts.path) == ("owntracks", "", "/config")
    (inline,) = parse_qs(parts.query)["inline"]
    found: dict[str, Any] = orjson.loads(base64.b64decode(inline, validate=True))
    return found


def test_owntracks_gets_http_mode_with_its_own_credentials(device: Mapping[str, Any]) -> None:
    found = owntracks_settings(provisioning.links(device)["owntracks"]["link"])
    assert (found["_type"], found["mode"], found["auth"]) == ("configuration", 3, True)
    assert found["url"] == f"{BASE}/owntracks"
    assert (found["username"], found["password"], found["deviceId"]) == ("d-0042", device["token"], "d-0042")
    assert len(found["tid"]) == 2
    assert (found["monitoring"], found["locatorInterval"], found["moveModeLocatorInterval"]) == (2, 30, 30)
    assert found["extendedData"] is False  # so that the Wi-Fi's name stays at home
    assert "encryptionKey" not in found


def test_owntracks_seals_its_messages_if_asked(device: Mapping[str, Any]) -> None:
    found = owntracks_settings(provisioning.owntracks_link(device, encrypted=True))
    assert found["encryptionKey"] == device["owntracks"]["passphrase"]
    assert len(found["encryptionKey"]) == 32


def test_the_link_needs_no_escapes_so_that_every_reader_of_links_agrees(device: Mapping[str, Any]) -> None:
    for encrypted in (False, True):
        inline = provisioning.owntracks_link(device, encrypted=encrypted).partition("inline=")[2]
        assert inline == unquote(inline)
        assert re.fullmatch(r"[A-Za-z0-9]+", inline)


def test_traccar_client_gets_its_settings_in_the_query_of_its_own_scheme(device: Mapping[str, Any]) -> None:
    found = provisioning.links(device)["traccar"]
    parts = urlsplit(found["link"])
    assert parts.scheme == "org.traccar.client"
    assert parts.netloc != "action"  # which is for commands
    settings = dict(parse_qsl(parts.query, strict_parsing=True))
    assert settings["url"] == f"{BASE}/osmand/{device['token']}" == found["url"]
    assert (settings["id"], settings["interval"], settings["heartbeat"], settings["distance"]) == (
        "d-0042",
        "30",
        "300",
        "30",
    )
    assert {settings["buffer"], settings["stop_detection"]} <= {"true", "false"}
    assert settings["accuracy"] in {"highest", "high", "medium", "low"}
    assert found["start_link"] == "org.traccar.client://action/start"


def test_osmand_gets_an_address_with_its_own_placeholders(device: Mapping[str, Any]) -> None:
    template = provisioning.links(device)["osmand"]["url"]
    values = ["48.93781", "2.16091", "1763718137000", "8.0", "35.0", "1.5", "90.0"]
    filled = re.sub(r"\{(\d)\}", lambda found: values[int(found[1])], template)
    assert "{" not in filled
    assert "'" not in template  # its formatter takes a quotation mark as one of its own
    assert dict(parse_qsl(urlsplit(filled).query)) == {
        "lat": "48.93781", "lon": "2.16091", "timestamp": "1763718137000", "accuracy": "8.0", "altitude": "35.0",
        "speed_mps": "1.5", "bearing": "90.0",
    }  # fmt: skip


def test_the_code_of_an_enrolment_is_behind_the_hash() -> None:
    url = provisioning.enrolment_url(f"{BASE}/", "ABCD-EFGH-JKLM-NPQR")
    assert url == f"{BASE}/enrol#ABCD-EFGH-JKLM-NPQR"
    assert urlsplit(url).path == "/enrol"


def test_a_drawn_code_is_plain_svg_that_a_strict_page_shows(device: Mapping[str, Any]) -> None:
    for text in (
        provisioning.enrolment_url(BASE, "ABCD-EFGH-JKLM-NPQR"),
        provisioning.links(device)["owntracks"]["link"],
    ):
        drawn = provisioning.qr_svg(text)
        root = ET.fromstring(drawn)
        names = {each.tag.rpartition("}")[2] for each in root.iter()}
        assert names == {"svg", "path"}
        assert {name for each in root.iter() for name in each.attrib} <= {"viewBox", "class", "fill", "stroke", "d"}
        assert "style" not in drawn
        assert not drawn.startswith("<?xml")


def test_a_drawn_code_holds_the_text_module_for_module() -> None:
    import segno

    text = provisioning.enrolment_url(BASE, "ABCD-EFGH-JKLM-NPQR")
    matrix = [list(line) for line in segno.make_qr(text, error="m").matrix]
    path = ET.fromstring(provisioning.qr_svg(text))[-1].attrib["d"]
    dark, x, y = set(), 0.0, 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", path):
        values = [float(each) for each in numbers.split()]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            dark |= {(int(x) + step, int(y)) for step in range(int(values[0]))}
            x += values[0]
    assert dark == {
        (column + 4, line + 4) for line, cells in enumerate(matrix) for column, cell in enumerate(cells) if cell
    }


def test_a_terminal_shows_a_code_in_characters() -> None:
    shown = provisioning.qr_terminal(provisioning.enrolment_url(BASE, "ABCD-EFGH-JKLM-NPQR"))
    lines = shown.strip("\n").split("\n")
    assert len(lines) > 12
    assert len({len(line) for line in lines}) == 1
    assert set(shown) <= set("█▀▄ \n")
