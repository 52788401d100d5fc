"""A small fake of the contract's phone routes, and a small town."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from typing import Any

import orjson
import pytest
from aiohttp import BasicAuth, web

from fieldsvc.simulate.town import Town

DAY = date(2026, 11, 21)
DEVICE_TOKEN = "tok-canary-0042"


def sheet_of(town: Town, index: int = 0, day: date = DAY) -> dict[str, Any]:
    """Make the sheet that the service would answer for one round of the town."""
    plan = town.rounds[index]
    tasks: dict[str, list[dict[str, Any]]] = {}
    for number, task in enumerate(town.tasks(day)):
        entry = {
            "task_id": f"tsk-{number}",
            **{key: task[key] for key in ("service", "subject", "addressee", "requirements")},
        }
        tasks.setdefault(task["delivery_point"], []).append({**entry, "window": task.get("window"), "details": {}})
    return {
        "run_id": f"run-{day}-{plan.round_id}",
        "round_id": plan.round_id,
        "site": plan.site,
        "mode": plan.mode,
        "version": 1,
        "state": "planned",
        "line": [list(point) for point in plan.line],
        "stops": [
            {
                "stop_id": stop.stop_id,
                "sequence": stop.sequence,
                "delivery_point_id": stop.point.id,
                "address": stop.point.address,
                "lat": stop.point.lat,
                "lon": stop.point.lon,
                "side": stop.side,
                "box_at": None,
                "tasks": tasks.get(stop.point.id, []),
            }
            for stop in plan.stops
        ],
    }


class FakeService:
    """Answers as contract.md says; `next_status` (a list) makes the next uploads fail, `rewrite` changes results."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.copies: Counter[str] = Counter()
        self.uploads: list[dict[str, Any]] = []
        self.next_status: list[tuple[int, dict[str, str]]] = []
        self.rewrite: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda result: result
        self.epoch = "epoch-1"
        self.sheets: dict[str, dict[str, Any]] = {}
        self.no_run_answers = 0
        self.sheet_answers: list[int] = []
        self.fixes: list[tuple[str, float]] = []
        self.positions: list[tuple[str, str, str, bytes]] = []
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2 * 1024 * 1024)
        app.router.add_post("/v1/events", self.events)
        app.router.add_post("/v1/positions", self.page_positions)
        app.router.add_post("/owntracks", self.owntracks)
        app.router.add_route("*", "/osmand/{token}", self.osmand)
        app.router.add_get("/v1/runs/current", self.current)
        app.router.add_get("/v1/runs/{run_id}/sheet", self.sheet)
        return app

    def answer(self, body: Any, status: int = 200, **headers: str) -> web.Response:
        everything = {"Fieldsvc-Store-Epoch": self.epoch, **headers}
        return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=everything)

    async def events(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = orjson.loads(raw)
        events = body if isinstance(body, list) else [body]
        self.uploads.append({"headers": dict(request.headers), "count": len(events), "bytes": len(raw)})
        if self.next_status:
            status, headers = self.next_status.pop(0)
            return self.answer({"code": "told_to_fail"}, status, **headers)
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return self.answer({"code": "unauthorized"}, 401)
        if len(events) > 500 or len(raw) > 1024 * 1024:
            return self.answer({"code": "too_large"}, 413)
        results = [self.rewrite(self.store(event)) for event in events]
        return self.answer({"receipt": "r", "results": [each for each in results if each]})

    def store(self, event: dict[str, Any]) -> dict[str, Any]:
        self.copies[event["id"]] += 1
        known = self.stored.setdefault(event["id"], event)
        same = all(known.get(key) == event.get(key) for key in ("type", "subject", "time", "data"))
        status = "accepted" if self.copies[event["id"]] == 1 else "duplicate" if same else "conflict"
        return {"id": event["id"], "status": status, "warnings": [], "located": {"method": "stop", "stop_id": "x"}}

    async def page_positions(self, request: web.Request) -> web.Response:
        """Note the fixes of a batch as (token, fixed_at)."""
        raw = await request.read()
        token = request.headers["Authorization"].removeprefix("Bearer ")
        found = [datetime.fromisoformat(each["fixed_at"]).timestamp() for each in orjson.loads(raw)["fixes"]]
        self.positions.append(("page", request.method, request.path_qs, raw))
        self.fixes += [(token, at) for at in found]
        return self.answer({"taken": len(found), "duplicate": 0, "late": 0, "off_duty_discarded": 0, "thinned": 0})

    async def owntracks(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body, token = orjson.loads(raw), BasicAuth.decode(request.headers["Authorization"]).password
        self.positions.append(("owntracks", request.method, request.path_qs, raw))
        if body["_type"] == "location":
            self.fixes.append((token, body["tst"]))
        return self.answer([])

    async def osmand(self, request: web.Request) -> web.Response:
        raw, token = await request.read(), request.match_info["token"]
        assert "Authorization" not in request.headers
        self.positions.append(("osmand", request.method, request.path_qs, raw))
        if "timestamp" in request.query:
            seconds = int(request.query["timestamp"])
            self.fixes.append((token, seconds / 1000 if seconds > 2**31 else seconds))
        elif raw.startswith(b"{") and "coords" in orjson.loads(raw)["location"]:
            at = orjson.loads(raw)["location"]["timestamp"]
            self.fixes.append((token, datetime.fromisoformat(at).timestamp()))
        return web.Response()

    async def current(self, request: web.Request) -> web.Response:
        sheet = self.sheets.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if sheet is None or self.no_run_answers > 0:
            self.no_run_answers -= 1
            return self.answer({"code": "no_run_today"}, 404)
        return self.answer(
            {**{key: sheet[key] for key in ("run_id", "round_id", "state")}, "sheet_version": sheet["version"]}
        )

    async def sheet(self, request: web.Request) -> web.Response:
        sheet = next(each for each in self.sheets.values() if each["run_id"] == request.match_info["run_id"])
        etag = f'"{sheet["version"]}"'
        status = 304 if request.headers.get("If-None-Match") == etag else 200
        self.sheet_answers.append(status)
        if status == 304:
            return web.Response(status=304, headers={"ETag": etag, "Fieldsvc-Store-Epoch": self.epoch})
        return self.answer(sheet, ETag=etag)


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    fake = FakeService()
    runner = web.AppRunner(fake.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture(scope="session")
def small_town() -> Town:
    return Town(7, rounds=4, stops=60)


@pytest.fixture
def sheet(small_town: Town) -> dict[str, Any]:
    return sheet_of(small_town)


@pytest.fixture
def sheets(small_town: Town) -> list[dict[str, Any]]:
    return [sheet_of(small_town, index) for index in range(len(small_town.rounds))]
