"""How an app on a phone learns its settings: a link to tap, a text for a QR code, or an address to paste.

Where the forms come from, and what was not tried on a phone:
- OwnTracks: `owntracks:///config?inline=` and the base64 of a configuration (booklet, page Remote configuration; the Android
  app decodes standard base64 out of one query parameter). Mode 3 is HTTP; `monitoring` 2 is "move". `extendedData` off keeps
  the Wi-Fi's name at home. Read in the app's sources and tests, not tried on a phone.
- Traccar Client from 9: any host but `action` after `org.traccar.client://`, with the settings in the query: metres and
  seconds; `action/start` begins to send (its sources, ConfigurationService). Not tried on a phone.
- OsmAnd has no link that we know of: the address is pasted under Trip recording, Online tracking. `{3}` is an accuracy in
  metres although its own texts say hdop, and `{5}` is in m/s (its sources, LiveMonitoringHelper): our names say so.
"""

import base64
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import segno

HTTP_MODE, MOVE_MODE = 3, 2
FIX_EVERY_S, STILL_EVERY_S, FIX_EVERY_M = 30, 300, 30
START_TRACCAR = "org.traccar.client://action/start"
_OSMAND = "lat={0}&lon={1}&timestamp={2}&accuracy={3}&altitude={4}&speed_mps={5}&bearing={6}"


def links(credentials: Mapping[str, Any], *, encrypted: bool = False) -> dict[str, dict[str, str]]:
    """Write a device's credentials (the object of `device enrol`) as each app takes them.

    `encrypted`: OwnTracks seals its messages with the device's passphrase as well; HTTPS already does what it is for.
    """
    owntracks = owntracks_link(credentials, encrypted=encrypted)
    traccar = traccar_link(credentials)
    osmand = f"{credentials['osmand']['url']}?{_OSMAND}"
    return {
        "owntracks": {"link": owntracks, "qr_text": owntracks},
        "traccar": {
            "link": traccar,
            "qr_text": traccar,
            "start_link": START_TRACCAR,
            "url": credentials["osmand"]["url"],
            "device_id": credentials["device_id"],
        },
        "osmand": {"url": osmand, "qr_text": osmand},
    }


def owntracks_link(credentials: Mapping[str, Any], *, encrypted: bool = False) -> str:
    """Write OwnTracks' configuration link."""
    known, device_id = credentials["owntracks"], str(credentials["device_id"])
    settings: dict[str, Any] = {
        "_type": "configuration",
        "mode": HTTP_MODE,
        "url": known["url"],
        "auth": True,
        "username": known["user"],
        "password": known["password"],
        "deviceId": device_id,
        "tid": device_id[-2:],
        "monitoring": MOVE_MODE,
        "locatorInterval": FIX_EVERY_S,
        "moveModeLocatorInterval": FIX_EVERY_S,
        "locatorDisplacement": FIX_EVERY_M,
        "extendedData": False,
    }
    if encrypted:
        settings["encryptionKey"] = known["passphrase"]
    text = orjson.dumps(settings)
    text += b" " * (-len(text) % 3)  # so that base64 needs no `=`, which some readers of links trip over
    return "owntracks:///config?inline=" + quote(base64.b64encode(text).decode(), safe="")


def traccar_link(credentials: Mapping[str, Any]) -> str:
    """Write Traccar Client's configuration link; it does not start the app's sending by itself."""
    settings = {
        "url": credentials["osmand"]["url"],
        "id": credentials["device_id"],
        "accuracy": "high",
        "distance": FIX_EVERY_M,
        "interval": FIX_EVERY_S,
        "heartbeat": STILL_EVERY_S,
        "buffer": "true",
        "stop_detection": "true",
    }
    return "org.traccar.client://config?" + urlencode(settings)


def enrolment_url(base_url: str, code: str) -> str:
    """Write where a phone goes with its one-time code: behind the `#`, so that no server and no log ever sees it."""
    return f"{base_url.rstrip('/')}/enrol#{code}"


def qr_svg(text: str) -> str:
    """Draw a QR code as SVG: black on white whatever the page's colours, without a size and without styles."""
    drawn = io.BytesIO()
    segno.make_qr(text, error="m").save(
        drawn,
        kind="svg",
        xmldecl=False,
        omitsize=True,
        nl=False,
        border=4,
        dark="#000",
        light="#fff",
        svgclass="qr",
        lineclass=None,
    )
    return drawn.getvalue().decode()


def qr_terminal(text: str) -> str:
    """Draw a QR code with block characters, for a terminal."""
    drawn = io.StringIO()
    segno.make_qr(text, error="l").terminal(drawn, border=2, compact=True)
    return drawn.getvalue()
