"""`/integrations/certify`: a hostile day against one's own receiver, started from a page, and its certificate."""

import asyncio
import secrets
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from fieldsvc import certify
from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.certify import Plan
from fieldsvc.certifying.sending import Pace
from fieldsvc.errors import BadRequest, FieldsvcError, NotFound, UserMistake
from fieldsvc.logs import get_logger
from fieldsvc.publishing.addresses import checked_url, guarded_sockets
from fieldsvc.publishing.signing import new_secret, sign
from fieldsvc.store import certificate as store
from fieldsvc.store.certificate import NewRun
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.portal import PORTAL, led_to, member

log = get_logger()
PATH = "/integrations/certify"
EVENTS, MOST_A_DAY, MOST_AT_ONCE = 120, 20, 3
PAUSE_S, KNOCKS_S = 5.0, 120.0
SIZES = {"short": 60, "usual": EVENTS, "long": 600}


class Runs:
    """Hostile days of this process; their certificates are kept in the database."""

    def __init__(self, database: Database, *, allow_loopback: bool, pace: Pace | None = None) -> None:
        self._database = database
        self._sockets = guarded_sockets(allow_loopback=allow_loopback)
        self._pace = pace or Pace(pause_s=PAUSE_S)
        self._jobs: dict[str, asyncio.Task[None]] = {}

    @property
    def is_full(self) -> bool:
        """Whether as many days run as this process bears."""
        return len(self._jobs) >= MOST_AT_ONCE

    def begin(self, run_id: str, url: str, keys: tuple[str, str], *, report: str | None, events: int) -> None:
        """Run a day beside everything else."""
        plan = Plan(
            url, keys, report=report, events=events, knock_s=KNOCKS_S, pace=self._pace, sockets=self._sockets,
            seed=secrets.randbelow(1_000_000),
        )  # fmt: skip
        job = asyncio.get_running_loop().create_task(self._run(run_id, plan), name=f"certify {run_id}")
        self._jobs[run_id] = job
        job.add_done_callback(lambda _job: self._jobs.pop(run_id, None))

    async def stop(self) -> None:
        """End every day that runs, and say that it was broken off."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _run(self, run_id: str, plan: Plan) -> None:
        at = [0, 0]
        telling = asyncio.create_task(self._tell(run_id, at))
        result, body = "broken_off", None
        try:
            made = await certify.certify(
                plan, show=lambda _line: None, heard=lambda *now: at.__setitem__(slice(2), now)
            )
            result, body = str(made.result), orjson.loads(orjson.dumps(asdict(made)))
        except UserMistake as error:
            body = {"why": str(error)}
        except FieldsvcError as error:
            log.warning("certify.failed", error=error.code)
        finally:
            telling.cancel()
            await asyncio.shield(self._finish(run_id, result, body))

    async def _finish(self, run_id: str, result: str, body: dict[str, Any] | None) -> None:
        try:
            await store.finish(self._database, run_id, result, body)
        except DATABASE_ERRORS as error:
            log.warning("certify.unkept", error=type(error).__name__)

    async def _tell(self, run_id: str, at: list[int]) -> None:
        """Note once a second how far a run is."""
        while True:
            await asyncio.sleep(1)
            try:
                await store.advance(self._database, run_id, at[0], at[1])
            except DATABASE_ERRORS:
                continue


RUNS = web.AppKey("RUNS_OF_CERTIFY", Runs)


async def show_start(request: web.Request) -> web.Response:
    """Show what a hostile day is, two keys for it, and the days that there were."""
    return await _page(request, Form(), keys=(new_secret(), new_secret()))


async def start(request: web.Request) -> web.Response:
    """Begin a day against a receiver that has the two keys."""
    person, account = member(request)
    form = await read_form(request)
    keys = _keys(form)
    url, report = _address(request, form, "url", missing="certify.fault.url"), _address(request, form, "report")
    events = SIZES[form.choice("size", SIZES, missing=None) or "usual"]
    if form.faults:
        return await _page(request, form, keys=keys, status=422)
    runs, run_id = request.app[RUNS], f"day_{secrets.token_hex(8)}"
    new = NewRun(run_id, account, url, person.account_id)
    database = request.app[ACCESS].database
    if runs.is_full or not await store.start(database, new, most_a_day=MOST_A_DAY):
        form.faults["url"] = "certify.fault.busy"
        return await _page(request, form, keys=keys, status=409)
    await audit.note(database, Entry(person.account_id, person.role, "certificate.started", f"certificate/{run_id}"))
    runs.begin(run_id, url, keys, report=report or None, events=events)
    return led_to(f"{PATH}/{run_id}")


async def show_run(request: web.Request) -> web.Response:
    """Show how far a day is, or its certificate. NotFound."""
    person, account = member(request)
    run = await store.read(request.app[ACCESS].database, account, request.match_info["id"])
    if run is None:
        raise NotFound
    zone = request.app[ACCESS].settings.zone
    return render(request, "account_certificate.html", person=person, run=run, zone=zone)


async def _page(request: web.Request, form: Form, *, keys: tuple[str, str], status: int = 200) -> web.Response:
    person, account = member(request)
    settings = request.app[ACCESS].settings
    found = await request.app[PORTAL].endpoints.page(account, after="", limit=1)
    return render(
        request,
        "account_certify.html",
        status=status,
        person=person,
        form=form,
        keys=keys,
        known_url=found[0].url if found else "",
        runs=await store.of_account(request.app[ACCESS].database, account),
        sizes=tuple(SIZES),
        zone=settings.zone,
    )


def _keys(form: Form) -> tuple[str, str]:
    """Take the two keys that the page showed; BadRequest for others."""
    found = form.get("first"), form.get("second")
    try:
        sign(found, "evt", timestamp=0, body=b"")
    except ValueError:
        raise BadRequest("The keys of the page were changed.") from None
    if found[0] == found[1] or not all(each.startswith("whsec_") for each in found):
        raise BadRequest("The keys of the page were changed.")
    return found


def _address(request: web.Request, form: Form, name: str, *, missing: str | None = None) -> str:
    """Take an address to which the service may go."""
    text = form.text(name, most=2000, missing=missing)
    if not text or name in form.faults:
        return ""
    try:
        checked_url(text, allow_loopback=request.app[ACCESS].settings.allow_loopback_endpoints)
    except BadRequest:
        form.faults[name] = "certify.fault.address"
        return ""
    return text


routes: list[web.RouteDef] = [
    web.get(PATH, show_start, name="page.account_certify_show_start"),
    web.post(PATH, start, name="page.account_certify_show_start"),
    web.get(f"{PATH}/{{id:day_[0-9a-f]{{16}}}}", show_run, name="page.account_certify_show_run"),
]
