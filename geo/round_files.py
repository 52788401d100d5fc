"""Planned rounds as files: a GeoJSON FeatureCollection, and its CSV twin with one row a stop."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from geo.errors import BadFile
from geo.positions import is_plausible
from geo.rounds import MODES, LonLat, Round, Stop

CSV_COLUMNS = ("round_id", "site", "mode", "sequence", "stop_id", "delivery_point_id", "lat", "lon", "address")
_REQUIRED = CSV_COLUMNS[:8]


@dataclass
class _Draft:
    """A round while its file is being read."""

    site: str | None = None
    mode: str = "foot"
    name: str | None = None
    line: list[LonLat] = field(default_factory=list)
    stops: dict[int, Stop] = field(default_factory=dict)
    stop_ids: set[str] = field(default_factory=set)
    seen_at: str = ""

    def add(self, stop: Stop, where: str) -> None:
        sequence = stop.sequence or 0
        if sequence in self.stops:
            raise BadFile(where, f"sequence {sequence} is used by stop {self.stops[sequence].stop_id} already.")
        if stop.stop_id in self.stop_ids:
            raise BadFile(where, f"stop {stop.stop_id} is on the round already.")
        self.stops[sequence] = stop
        self.stop_ids.add(stop.stop_id)

    def finish(self, round_id: str) -> Round:
        stops = tuple(self.stops[sequence] for sequence in sorted(self.stops))
        return Round(round_id, tuple(self.line), stops, self.site, self.mode, self.name)


def read_rounds_geojson(text: str) -> list[Round]:
    """Read a FeatureCollection: one LineString per round, one Point per stop, in any order.

    Raise BadFile naming the feature (counted from 1) and the mistake.
    """
    drafts: dict[str, _Draft] = {}
    features = _features(text)
    for where, kind, properties, geometry in features:
        if kind == "LineString":
            _take_line(drafts, where, properties, geometry)
    for where, kind, properties, geometry in features:
        if kind == "Point":
            _take_point(drafts, where, properties, geometry)
    if not drafts:
        raise BadFile("file", "there is no LineString of a round in it.")
    for round_id, draft in drafts.items():
        if not draft.stops:
            raise BadFile(draft.seen_at, f"round {round_id} has no stops.")
    return [draft.finish(round_id) for round_id, draft in drafts.items()]


def read_rounds_csv(lines: Iterable[str]) -> list[Round]:
    """Read one row a stop, with `,` or `;`; the line of each round is drawn through its stops.

    Raise BadFile naming the line and the mistake.
    """
    drafts: dict[str, _Draft] = {}
    for where, row in _csv_rows(lines):
        round_id = _text(row, "round_id", where)
        site, mode = _text(row, "site", where), _mode(row, where)
        draft = drafts.setdefault(round_id, _Draft(site=site, mode=mode))
        if (draft.site, draft.mode) != (site, mode):
            raise BadFile(where, f"round {round_id} has another site or mode here than in its first row.")
        position = _position(row.get("lon"), row.get("lat"), where)
        draft.add(_stop(row, position, where), where)
    if not drafts:
        raise BadFile("file", "there is no stop in it.")
    return [draft.finish(round_id) for round_id, draft in drafts.items()]


def write_rounds_geojson(rounds: Iterable[Round]) -> str:
    """Write rounds in the form that `read_rounds_geojson` reads; positions to 7 decimals (1 cm)."""
    features: list[dict[str, Any]] = []
    for rnd in rounds:
        about: dict[str, Any] = {"round_id": rnd.round_id, "site": rnd.site, "mode": rnd.mode, "name": rnd.name}
        features.append(_feature("LineString", [_rounded(point) for point in rnd.drawn_line], about))
        for i, stop in enumerate(rnd.stops, 1):
            about = {
                "round_id": rnd.round_id,
                "stop_id": stop.stop_id,
                "sequence": stop.sequence or i,
                "delivery_point_id": stop.delivery_point_id or stop.stop_id,
                "address": stop.address,
                "side": stop.side,
                "box_at": _rounded(stop.box_at[::-1]) if stop.box_at else None,
            }
            features.append(_feature("Point", _rounded((stop.lon, stop.lat)), about))
    body = {"type": "FeatureCollection", "features": features}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _feature(kind: str, coordinates: object, properties: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in properties.items() if value is not None}
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": kept}


def _rounded(point: LonLat) -> list[float]:
    return [round(point[0], 7), round(point[1], 7)]


def _features(text: str) -> list[tuple[str, str, dict[str, Any], Any]]:
    try:
        body = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise BadFile(f"line {error.lineno}", f"this is not JSON ({error.msg}).") from None
    except RecursionError:
        raise BadFile("file", "this JSON is nested too deeply.") from None
    if (
        not isinstance(body, dict)
        or body.get("type") != "FeatureCollection"
        or not isinstance(body.get("features"), list)
    ):
        raise BadFile("file", "this is not a GeoJSON FeatureCollection.")
    return [_parts(f"feature {i}", feature) for i, feature in enumerate(body["features"], 1)]


def _parts(where: str, feature: Any) -> tuple[str, str, dict[str, Any], Any]:
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(geometry, dict) or not isinstance(properties, dict):
        raise BadFile(where, "it has no geometry or no properties.")
    kind = geometry.get("type")
    if kind not in {"LineString", "Point"}:
        raise BadFile(where, f"a {kind} means nothing here; rounds are LineStrings and stops are Points.")
    return where, kind, properties, geometry.get("coordinates")


def _take_line(drafts: dict[str, _Draft], where: str, properties: dict[str, Any], coordinates: Any) -> None:
    round_id = _text(properties, "round_id", where)
    if round_id in drafts:
        raise BadFile(where, f"round {round_id} has a line already ({drafts[round_id].seen_at}).")
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        raise BadFile(where, "a line needs two positions at least.")
    draft = _Draft(
        _text(properties, "site", where), _mode(properties, where), _optional(properties, "name"), seen_at=where
    )
    for point in coordinates:
        lat, lon = _point(point, where)
        draft.line.append((lon, lat))
    drafts[round_id] = draft


def _take_point(drafts: dict[str, _Draft], where: str, properties: dict[str, Any], coordinates: Any) -> None:
    round_id = _text(properties, "round_id", where)
    if round_id not in drafts:
        raise BadFile(where, f"round {round_id} has no LineString in this file.")
    drafts[round_id].add(_stop(properties, _point(coordinates, where), where), where)


def _point(value: Any, where: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) < 2:
        raise BadFile(where, "a position is [longitude, latitude].")
    return _position(value[0], value[1], where)


def _stop(row: dict[str, Any], position: tuple[float, float], where: str) -> Stop:
    box = row.get("box_at")
    return Stop(
        stop_id=_text(row, "stop_id", where),
        lat=position[0],
        lon=position[1],
        side=_optional(row, "side"),
        delivery_point_id=_text(row, "delivery_point_id", where),
        address=_optional(row, "address"),
        sequence=_sequence(row, where),
        box_at=_point(box, where) if box is not None else None,
    )


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    source = iter(lines)
    header = next(source, "").removeprefix("\ufeff")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise BadFile("line 1", f"the header lacks {', '.join(missing)}; it is {','.join(CSV_COLUMNS)}.")
    rows = csv.reader(source, delimiter=delimiter)
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            where = f"line {rows.line_num + 1}"
            if len(row) != len(names):
                raise BadFile(where, f"it has {len(row)} columns and the header has {len(names)}.")
            yield where, dict(zip(names, (cell.strip() for cell in row), strict=True))
    except csv.Error as error:
        raise BadFile(f"line {rows.line_num + 1}", f"this is not CSV ({error}).") from None


def _text(row: dict[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise BadFile(where, f"{name} is missing.")
    return str(value).strip()


def _optional(row: dict[str, Any], name: str) -> str | None:
    value = row.get(name)
    return str(value).strip() or None if isinstance(value, str | int) else None


def _mode(row: dict[str, Any], where: str) -> str:
    mode = _text(row, "mode", where)
    if mode not in MODES:
        raise BadFile(where, f"mode is {mode}; it is one of {', '.join(MODES)}.")
    return mode


def _sequence(row: dict[str, Any], where: str) -> int:
    value = row.get("sequence")
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise BadFile(where, f"sequence is {value}; it is a whole number, 0 or more.")
    return number


def _position(lon: Any, lat: Any, where: str) -> tuple[float, float]:
    """Read one position; give (lat, lon)."""
    try:
        place = float(str(lat).replace(",", ".")), float(str(lon).replace(",", "."))
    except ValueError:
        raise BadFile(where, f"longitude {lon}, latitude {lat} are not numbers.") from None
    if not is_plausible(*place):
        raise BadFile(where, f"longitude {lon}, latitude {lat} cannot be a real place.")
    return place
