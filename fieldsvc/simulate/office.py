"""The people behind the counter in the demo: they answer what carriers report, and ask for what customers want.

A client like any other: the operator and an adviser sign in with their links, the subscriber reads its feed, the customer knows
an item and a postcode. What they do follows from the events they see.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from yarl import URL

from fieldsvc.simulate.further import uuid_of
from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.transport import TIMEOUT

MOST, MANY, WISHES = 5, 10_000, 3  # answers to events of one type; customers' wishes
FEED_WAIT_S, RETRY_S = 5, 2.0
CSRF_COOKIE, BATCH = "fieldsvc_csrf", "application/cloudevents-batch+json"


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody at the office says: an event of `type`."""

    role: str
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a customer asks for: a delivery change of an item, to be shown with the postcode that it goes to."""

    item_id: str


Answering = Callable[[Mapping[str, Any]], Iterator[Deed | Wish]]


def confirm_hazard(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Tell every colleague on the way."""
    yield Deed("operator", "hazard.confirmed", {"hazard_id": event["data"]["hazard_id"]})


def decide_access(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Say where the mail waits."""
    decided = {"decision": "held_at_office", "reason": "Le portail est fermé ; nous appelons le syndic."}
    yield Deed("adviser", "access.decided", {"delivery_point_id": event["data"]["delivery_point_id"], **decided})


def consider_idea(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Answer whoever had the idea."""
    yield Deed("operator", "idea.decided", {"idea_id": event["data"]["idea_id"], "status": "considered"})


def take_alarm(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Have it."""
    yield Deed("operator", "alarm.acknowledged", {"alarm_id": event["data"]["alarm_id"]})


def dispute(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Write down for a customer that nothing came."""
    yield Deed("adviser", "trust.dispute_opened", {"event_id": event["id"], "text": "Marqué distribué, rien reçu."})


def close_dispute(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Find it at the neighbour's."""
    closed = {"outcome": "settled", "reason": "Retrouvé chez la gardienne."}
    yield Deed("adviser", "trust.dispute_closed", {"case_id": event["data"]["case_id"], **closed})


def offer_report(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Offer the report of a visit to the visited person's digital safe."""
    visit = str(event["subject"])
    digest = hashlib.sha256(visit.encode()).hexdigest()
    named = {"document_id": f"D-{digest[:8]}", "kind": "report", "about": visit, "evidence": digest}
    whose = {"person": f"ref-{digest[:6]}", "safe": "safe-1", "consent": {"given_on": "2026-03-02", "how": "paper"}}
    yield Deed("adviser", "document.deposited", named | whose)


def erase(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Forget a person who asked for it."""
    yield Deed("operator", "person.erased", {"person": f"ref-{str(event['id'])[-6:]}"})


def wish(event: Mapping[str, Any]) -> Iterator[Wish]:
    """Ask for a second presentation of an item that was just ordered."""
    kind, _, name = str(event["subject"]).partition("/")
    if kind == "item":
        yield Wish(name)


def begin(event: Mapping[str, Any]) -> Iterator[Deed]:
    """Give the carrier of a run a word for the way, and count what the next one would take over."""
    run = {"run_id": event["data"]["run_id"]}
    yield Deed("operator", "instruction.given", {**run, "text": "Passer par la cour, la rue est barrée."})
    load = {**run, "counts": {"items": 12, "pouches": 1, "keys": 0}}
    yield Deed("operator", "run.handed_over", load)
    yield Deed("operator", "run.taken_over", load)


ANSWERS: Mapping[str, tuple[int, Answering]] = {
    "task.planned": (MANY, wish),
    "run.started": (1, begin),
    "hazard.reported": (MOST, confirm_hazard),
    "access.refused": (MOST, decide_access),
    "idea.submitted": (MOST, consider_idea),
    "alarm.raised": (MOST, take_alarm),
    "item.delivered": (1, dispute),
    "trust.dispute_opened": (MOST, close_dispute),
    "home_visit.completed": (1, offer_report),
    "document.deposited": (1, erase),
}


@dataclass(slots=True)
class Office:
    """Signs people in, follows the feed from now on, and answers."""

    session: aiohttp.ClientSession
    target_url: str
    api_key: str = field(repr=False)
    sign_in_urls: Mapping[str, str] = field(repr=False)
    site: str
    postcode: str
    tomorrow: str
    said: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    _signed_in: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    async def run(self) -> None:
        """Answer until cancelled; a service that is away is asked again."""
        cursor = ""
        while True:
            try:
                await self._cover_tomorrow()
                page = await self._feed(cursor)
                for event in page["events"]:
                    await self._answer(event)
                cursor = page["next"]
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(RETRY_S)

    async def _feed(self, cursor: str) -> Mapping[str, Any]:
        types = ",".join(ANSWERS)
        url = URL(f"{self.target_url}/v1/feed?wait={FEED_WAIT_S}&limit=500&types={types}&after={cursor}", encoded=True)
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with self.session.get(url, headers=headers, timeout=TIMEOUT) as response:
            response.raise_for_status()
            page: Mapping[str, Any] = orjson.loads(await response.read())
            return page

    async def _answer(self, event: Mapping[str, Any]) -> None:
        kind = str(event["type"]).removeprefix("fieldsvc.").removesuffix(".v1")
        most, answering = ANSWERS[kind]
        if self.said[kind] < most:
            self.said[kind] += 1
            for deed in answering(event):
                await (self._ask_for(deed) if isinstance(deed, Wish) else self._say(deed, event))

    async def _say(self, deed: Deed, event: Mapping[str, Any]) -> None:
        """Say it once, whoever asks again: the event's id follows from what is answered."""
        body = {
            "specversion": "1.0",
            "id": uuid_of(seeded("office", event["id"], deed.type)),
            "source": f"/office/{deed.role}",
            "type": f"fieldsvc.{deed.type}.v1",
            "time": event["time"],
            "data": dict(deed.data),
        }
        headers = {**await self._as(deed.role), "Content-Type": BATCH}
        url = f"{self.target_url}/v1/events"
        async with self.session.post(url, data=orjson.dumps([body]), headers=headers, timeout=TIMEOUT) as response:
            answer = orjson.loads(await response.read())
        results = answer.get("results") or [{"status": "refused", "reason": answer.get("code")}]
        if results[0]["status"] not in ("accepted", "duplicate"):
            self.refused.append(f"{deed.type}: {results[0].get('reason')}")

    async def _cover_tomorrow(self) -> None:
        """Learn that somebody is ill tomorrow, and let colleagues do the round: a proposal, and one confirmation."""
        if self.said["cover"]:
            return
        self.said["cover"] += 1
        days = f"site={self.site}&from={self.tomorrow}&until={self.tomorrow}"
        rows = (await self._request("GET", f"/v1/roster?{days}", None)).get("rows") or []
        if len(rows) < 2:
            self.refused.append("no roster for tomorrow")
            return
        ill = {"day": self.tomorrow, "round_id": rows[0]["round_id"], "carrier": None}
        await self._request("PUT", f"/v1/roster?site={self.site}", {"rows": [ill]})
        asked = {"site": self.site, "day": self.tomorrow}
        proposal = await self._request("POST", "/v1/cover/proposals", asked)
        if proposal.get("proposal_id"):
            await self._request("POST", f"/v1/cover/proposals/{proposal['proposal_id']}/confirm", {})

    async def _ask_for(self, wanted: Wish) -> None:
        """Ask as a customer, who has no account."""
        if self.said["wish"] < WISHES:
            self.said["wish"] += 1
            details = {"postcode": self.postcode}
            body = {"kind": "second_presentation", "item_id": wanted.item_id, "from": self.tomorrow, "details": details}
            await self._request("POST", "/v1/delivery-changes", body, role=None)

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, role: str | None = "operator"
    ) -> Mapping[str, Any]:
        """Send one request; note what was refused, but for a customer who comes too late."""
        headers = await self._as(role) if role else {}
        url = URL(self.target_url + path, encoded=True)
        async with self.session.request(method, url, json=body, headers=headers, timeout=TIMEOUT) as response:
            answer: Mapping[str, Any] = orjson.loads(await response.read() or b"{}")
            if response.status >= 400 and answer.get("code") != "too_late":
                self.refused.append(f"{method} {path}: {answer.get('code')}")
        return answer

    async def _as(self, role: str) -> dict[str, str]:
        """Sign a person in, once; return the headers of their browser."""
        if role not in self._signed_in:
            url = self.sign_in_urls[role]
            async with self.session.post(url, allow_redirects=False, timeout=TIMEOUT) as response:
                cookies = {name: morsel.value for name, morsel in response.cookies.items()}
            cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
            self._signed_in[role] = {"Cookie": cookie, "X-CSRF-Token": cookies[CSRF_COOKIE]}
        return self._signed_in[role]
