"""A good receiver in few lines, and receivers with one mistake each, as people make them."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import defaultdict
from datetime import datetime
from typing import Any, Self

from aiohttp import web

Event = dict[str, Any]
TOLERANCE_S = 300


class Receiver:
    """Verifies, leaves out what it has, applies, forgets, reports. Every mistake overrides one of its parts."""

    def __init__(self, *secrets: str) -> None:
        self.keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
        self.seen: set[str] = set()
        self.applied: list[str] = []
        self.data: dict[str, Any] = {}
        self.erased: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self.is_signed(request, body):
            return web.Response(status=401)
        found = json.loads(body)
        for event in found if isinstance(found, list) else [found]:
            if not self.is_known(event):
                self.apply(event)
        return web.Response(status=204)

    def is_signed(self, request: web.Request, body: bytes) -> bool:
        message_id, timestamp = request.headers.get("webhook-id"), request.headers.get("webhook-timestamp", "")
        if not message_id or not timestamp.isdigit() or not self.is_of_now(int(timestamp), body):
            return False
        content = f"{message_id}.{timestamp}.".encode() + self.signed_part(body)
        expected = ["v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in self.keys]
        return any(hmac.compare_digest(one, other) for one in self.signatures(request) for other in expected)

    def is_of_now(self, timestamp: int, body: bytes) -> bool:
        return abs(time.time() - timestamp) <= TOLERANCE_S

    def signed_part(self, body: bytes) -> bytes:
        return body

    def signatures(self, request: web.Request) -> list[str]:
        return request.headers.get("webhook-signature", "").split()

    def is_known(self, event: Event) -> bool:
        return event["id"] in self.seen

    def apply(self, event: Event) -> None:
        self.seen.add(event["id"])
        self.applied.append(event["id"])
        self.data[event["id"]] = event.get("data", {}) | {"of": event["subject"].partition("/")[2]}
        if event["type"] == "fieldsvc.person.erased.v1":
            self.erase(event["data"]["person"])

    def erase(self, person: str) -> None:
        self.erased.append(person)
        for event_id, data in self.data.items():
            if person in (data.get("person"), data.get("of")):
                self.data[event_id] = {}

    def report(self) -> Any:
        return {"applied": [{"id": each, "data": self.data[each]} for each in self.applied], "erased": self.erased}


class AppliesCopies(Receiver):
    def is_known(self, event: Event) -> bool:
        return False


class RemembersFewIds(Receiver):
    def is_known(self, event: Event) -> bool:
        return event["id"] in self.applied[-20:]


class RefusesCopies(Receiver):
    async def answer(self, request: web.Request) -> web.Response:
        event = json.loads(await request.read())
        return web.Response(status=409) if self.is_known(event) else await super().answer(request)


class CountsOnAUniqueKey(Receiver):
    def is_known(self, event: Event) -> bool:
        if event["id"] in self.seen and not event.get("data", {}).get("erased"):
            raise web.HTTPInternalServerError
        return event["id"] in self.seen


class KeepsTheNewestByTime(Receiver):
    """Takes an event that happened before the last one for old news, and drops it."""

    def __init__(self, *secrets: str) -> None:
        super().__init__(*secrets)
        self.newest: dict[str, str] = defaultdict(str)

    def apply(self, event: Event) -> None:
        if event.get("time", "") >= self.newest[event["subject"]]:
            self.newest[event["subject"]] = event.get("time", "")
            super().apply(event)


class SortsByTime(Receiver):
    def __init__(self, *secrets: str) -> None:
        super().__init__(*secrets)
        self.times: dict[str, str] = {}

    def apply(self, event: Event) -> None:
        super().apply(event)
        self.times[event["id"]] = event.get("time", "")

    def report(self) -> Any:
        self.applied.sort(key=lambda each: self.times[each])
        return super().report()


class TakesACorrectionForACopy(Receiver):
    def is_known(self, event: Event) -> bool:
        return event["id"] in self.seen or event.get("supersedes") in self.seen


class BelievesEverybody(Receiver):
    def is_signed(self, request: web.Request, body: bytes) -> bool:
        return True


class BelievesBeforeItLooks(Receiver):
    """Answers 401 to a forgery, after having applied it."""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        found = json.loads(body)
        for event in found if isinstance(found, list) else [found]:
            if not self.is_known(event):
                self.apply(event)
        return web.Response(status=204 if self.is_signed(request, body) else 401)


class LooksAtTheFirstSignatureOnly(Receiver):
    def signatures(self, request: web.Request) -> list[str]:
        return super().signatures(request)[:1]


class WritesTheBodyAnew(Receiver):
    def signed_part(self, body: bytes) -> bytes:
        return json.dumps(json.loads(body)).encode()


class HasNoTolerance(Receiver):
    """Accepts a signature of any time: what was recorded once is good for ever."""

    def is_of_now(self, timestamp: int, body: bytes) -> bool:
        return True


class LooksAtTheTimeOfTheEvent(Receiver):
    """Takes the event's own time for that of the message: what was told late is refused."""

    def is_of_now(self, timestamp: int, body: bytes) -> bool:
        happened = datetime.fromisoformat(json.loads(body).get("time", "2000-01-01T00:00:00Z"))
        return super().is_of_now(timestamp, body) and super().is_of_now(int(happened.timestamp()), body)


class KnowsOneKeyOnly(Receiver):
    def __init__(self, *secrets: str) -> None:
        super().__init__(secrets[0])


class IgnoresErasure(Receiver):
    def erase(self, person: str) -> None:
        pass


class SaysThatItErased(Receiver):
    def erase(self, person: str) -> None:
        self.erased.append(person)


class ErasesNamedPersonsOnly(Receiver):
    """Forgets who is named in the data, not an order that names nobody."""

    def erase(self, person: str) -> None:
        if person.startswith("ref-"):
            super().erase(person)


class FailsOnUnknownTypes(Receiver):
    def is_known(self, event: Event) -> bool:
        if not event["type"].startswith(
            ("fieldsvc.item.", "fieldsvc.document.", "fieldsvc.person.", "fieldsvc.endpoint.")
        ):
            raise web.HTTPInternalServerError
        return super().is_known(event)


class FailsOnMissingTimes(Receiver):
    def is_known(self, event: Event) -> bool:
        if "time" not in event:
            raise web.HTTPInternalServerError
        return super().is_known(event)


class CrashesOnForgeries(Receiver):
    def is_signed(self, request: web.Request, body: bytes) -> bool:
        if not super().is_signed(request, body):
            raise web.HTTPInternalServerError
        return True


class SendsElsewhere(Receiver):
    async def answer(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/login"})


class WantsNothing(Receiver):
    async def answer(self, request: web.Request) -> web.Response:
        return web.Response(status=410)


class IsSlow(Receiver):
    async def answer(self, request: web.Request) -> web.Response:
        answer = await super().answer(request)
        await asyncio.sleep(30)
        return answer


class DropsLongLines(Receiver):
    """Cuts the connection of what it finds too long."""

    async def answer(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > 100_000:
            assert request.transport is not None
            request.transport.abort()
        return await super().answer(request)


class BreaksInTheMiddle(Receiver):
    async def answer(self, request: web.Request) -> web.Response:
        if len(self.applied) > 30:
            return web.Response(status=503)
        return await super().answer(request)


class TakesTheFirstOfABatch(Receiver):
    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self.is_signed(request, body):
            return web.Response(status=401)
        found = json.loads(body)
        event = found[0] if isinstance(found, list) else found
        if not self.is_known(event):
            self.apply(event)
        return web.Response(status=204)


class DropsABatchOfWhichItKnowsAPart(Receiver):
    async def answer(self, request: web.Request) -> web.Response:
        found = json.loads(await request.read())
        if isinstance(found, list) and any(event["id"] in self.seen for event in found):
            return web.Response(status=204)
        return await super().answer(request)


class KnowsABatchByItsName(Receiver):
    """Leaves out requests that it knows, but not events."""

    async def answer(self, request: web.Request) -> web.Response:
        name = request.headers.get("webhook-id", "")
        if name in self.seen:
            return web.Response(status=204 if self.is_signed(request, await request.read()) else 401)
        answer = await super().answer(request)
        if answer.status == 204:
            self.seen.add(name)
        return answer

    def is_known(self, event: Event) -> bool:
        return False


class CannotReadABatch(Receiver):
    async def answer(self, request: web.Request) -> web.Response:
        if request.content_type.startswith("application/cloudevents-batch"):
            return web.Response(status=500)
        return await super().answer(request)


MISTAKES_WITH_BATCHES: dict[type[Receiver], set[str]] = {
    TakesTheFirstOfABatch: {"order"},
    DropsABatchOfWhichItKnowsAPart: {"order"},
    KnowsABatchByItsName: {"dedup"},
    CannotReadABatch: {"robustness"},
}
MISTAKES: dict[type[Receiver], set[str]] = {
    AppliesCopies: {"dedup"},
    RemembersFewIds: {"dedup"},
    RefusesCopies: {"dedup"},
    CountsOnAUniqueKey: {"dedup"},
    KeepsTheNewestByTime: {"order"},
    SortsByTime: {"order"},
    TakesACorrectionForACopy: {"order"},
    BelievesEverybody: {"signature"},
    BelievesBeforeItLooks: {"signature"},
    LooksAtTheFirstSignatureOnly: {"signature"},
    WritesTheBodyAnew: {"signature"},
    HasNoTolerance: {"signature"},
    LooksAtTheTimeOfTheEvent: {"signature"},
    KnowsOneKeyOnly: {"signature"},
    IgnoresErasure: {"tombstones"},
    SaysThatItErased: {"tombstones"},
    ErasesNamedPersonsOnly: {"tombstones"},
    FailsOnUnknownTypes: {"robustness"},
    FailsOnMissingTimes: {"robustness"},
    CrashesOnForgeries: {"robustness"},
    SendsElsewhere: {"robustness"},
    WantsNothing: {"robustness"},
    DropsLongLines: {"robustness"},
    BreaksInTheMiddle: {"robustness"},
    IsSlow: {"speed"},
}


class Server:
    """A receiver on loopback, with its report; an async context."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**20)
        app.router.add_post("/hook", self.receiver.answer)
        app.router.add_get("/report", self._report)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.hook, self.told = f"{origin}/hook", f"{origin}/report"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _report(self, request: web.Request) -> web.Response:
        return web.json_response(self.receiver.report())
