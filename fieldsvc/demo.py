"""`make run`: a fictional town at work. Everything goes the way of a real installation; only the people are simulated."""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import aiohttp
import orjson
from pydantic import SecretStr

from fieldsvc import logs
from fieldsvc.access import accounts, enrolment
from fieldsvc.app import create_app
from fieldsvc.demo_town import AWAY, SUPERVISED, Kept, keep, load_day, new_people, prepared, say, write
from fieldsvc.errors import FieldsvcError
from fieldsvc.platform import Platform, open_platform
from fieldsvc.process import database_url, stop_event
from fieldsvc.serve import listening
from fieldsvc.settings import Settings
from fieldsvc.simulate.identity import identity_provider
from fieldsvc.simulate.layout import POSTCODE
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.office import Office
from fieldsvc.simulate.run import MIXED, Stopped, simulate
from fieldsvc.simulate.screen import CountLine, Screen
from fieldsvc.simulate.subscriber import Subscriber
from fieldsvc.simulate.town import Town
from handlers.registry import Registry

TITLE = "fieldsvc demo: Villeneuve-sur-Arve (fictional data), {rounds} rounds, {points:,} delivery points"
RURAL_ROUNDS = 3
YOURS = "T19"  # the round of whoever looks at the demo, with the phone's page
YOUR_CODE_LIVES = timedelta(hours=12)
REPLAYED_S, REPLAY_SPEED = 2 * 3600.0, 120.0  # a minute after the start carriers are under way, at the pace of now
NEW_DAY_CHECK_S = 30.0


async def run_demo(settings: Settings) -> None:
    """Run the demo until Ctrl-C. What it did is kept: a second run carries on."""
    logs.configure(level="error", form=settings.log_format)
    ground = settings.var_dir / "basemap.geojson"
    changes = {"allow_loopback_endpoints": True, "log_level": "error", "basemap": ground}
    settings = settings.model_copy(update=changes)
    stop = stop_event()
    town = Town(rural=RURAL_ROUNDS)
    say("Starting the database")
    async with database_url(settings) as url, _identity(settings) as identity:
        await _serve(settings.model_copy(update=_sign_in(identity)), url, town=town, stop=stop)


async def _serve(settings: Settings, url: str, *, town: Town, stop: asyncio.Event) -> None:
    async with open_platform(settings, url) as platform:
        await accounts.withdraw_reusable_links(platform.database)
        kept = await prepared(platform, settings, town)
        async with _subscriber(kept) as (hook, new_url), listening(create_app(platform), settings) as address:
            if new_url is not None:
                await _register(hook, new_url, kept, address=address, settings=settings)
            await _run_on(platform, settings, town=town, kept=kept, address=address, hook=hook, stop=stop)
        await accounts.withdraw_reusable_links(platform.database)


def _identity(settings: Settings) -> AbstractAsyncContextManager[Mapping[str, str] | None]:
    """Start the demo's identity provider, which has to know at which address it is asked: not with any free port."""
    if settings.port == 0:
        return contextlib.nullcontext()
    return identity_provider(settings.public_url or f"http://{settings.host}:{settings.port}")


def _sign_in(identity: Mapping[str, str] | None) -> dict[str, Any]:
    """Say in settings with whom customers and staff sign in: the demo's own provider, if its package is there."""
    if identity is None:
        return {}
    known = {
        "issuer": identity["issuer"],
        "client_id": identity["client_id"],
        "client_secret": SecretStr(identity["client_secret"]),
    }
    both = {f"{whose}oidc_{name}": value for whose in ("", "staff_") for name, value in known.items()}
    return {**both, "staff_oidc_roles": (f"encadrement=supervisor@{SUPERVISED}",)}


async def _run_on(
    platform: Platform,
    settings: Settings,
    *,
    town: Town,
    kept: Kept,
    address: str,
    hook: Subscriber,
    stop: asyncio.Event,
) -> None:
    people = await new_people(
        platform, address, pharmacy=kept.pharmacy["account_id"], subscriber=kept.subscriber["account_id"]
    )
    content = orjson.dumps(_demo_file(town, kept, address, people), option=orjson.OPT_INDENT_2)
    write(settings.var_dir / "demo.json", content)
    ledger = Ledger()
    services = own_types(platform.registry)
    screen = Screen(sys.stdout, lambda: _counts(ledger, hook, services))
    hook.listen(screen.violation)
    screen.show(
        TITLE.format(rounds=len(town.rounds), points=sum(1 for _ in town.delivery_points())),
        _links(address, kept, settings, your_code=await _your_code(platform, town)),
        sign_ins=[(role, found["sign_in_url"]) for role, found in people.items()],
        notes=[*_about_sign_in(settings, address), "Press Ctrl-C to stop; nothing is lost, and `make run` carries on."],
    )
    jobs = [
        asyncio.create_task(_simulate(settings, kept, address, ledger=ledger, stop=stop)),
        asyncio.create_task(_new_days(platform, town, kept, stop)),
        asyncio.create_task(_office(kept, address, people=people, day=platform.runs.today(), stop=stop)),
    ]
    try:
        await screen.run(stop)
    finally:
        await asyncio.gather(*jobs, return_exceptions=True)


async def _simulate(settings: Settings, kept: Kept, address: str, *, ledger: Ledger, stop: asyncio.Event) -> None:
    """Let the carriers work; what was told at an earlier run of this day is not told again."""
    before = _stopped_today(kept, settings.zone)
    if before is None:
        before = Stopped(_begin_at(settings.zone), _begin_at(settings.zone), {})
        keep(settings, stopped=before.as_json)
    await simulate(
        address,
        [device for device in kept.devices if device["round"] not in (YOURS, AWAY)],
        stop=stop,
        ledger=ledger,
        app=MIXED,
        speed=REPLAY_SPEED,
        start_at=before.start_at,
        resume=before if before.told_until else None,
        on_stop=lambda stopped: keep(settings, stopped=stopped.as_json),
    )


def _begin_at(zone: tzinfo) -> float:
    """Return when today's shift begins: hours ago, so that carriers are under way when the replay reaches now."""
    now = time.time()
    midnight = datetime.fromtimestamp(now, UTC).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(midnight.timestamp(), now - REPLAYED_S)


def _stopped_today(kept: Kept, zone: tzinfo) -> Stopped | None:
    if kept.stopped is None:
        return None
    stopped = Stopped(**kept.stopped)
    days = [datetime.fromtimestamp(at, UTC).astimezone(zone).date() for at in (stopped.start_at, time.time())]
    return stopped if days[0] == days[1] else None


@asynccontextmanager
async def _subscriber(kept: Kept) -> AsyncIterator[tuple[Subscriber, str | None]]:
    """Listen as a subscriber, from before the service starts until it has stopped, so that it never finds nobody there.

    The endpoint of the last run goes on if its port is free; else the URL of a new one is given, to be registered.
    """
    hook, new_url = await _listening_again(kept), None
    if hook is None:
        hook = Subscriber()
        new_url = await hook.start()
    try:
        yield hook, new_url
    finally:
        await hook.close()


async def _register(hook: Subscriber, url: str, kept: Kept, *, address: str, settings: Settings) -> None:
    created = await hook.register(address, kept.subscriber["api_key"], url=url)
    port = int(url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    keep(settings, kept, endpoint={"id": created, "secret": hook.secret, "port": port})


async def _listening_again(kept: Kept) -> Subscriber | None:
    if kept.endpoint is None:
        return None
    hook = Subscriber(secrets=[kept.endpoint["secret"]])
    try:
        await hook.start(kept.endpoint["port"])
    except OSError:
        await hook.close()
        return None
    return hook


async def _new_days(platform: Platform, town: Town, kept: Kept, stop: asyncio.Event) -> None:
    """Load the next day's work when midnight has passed."""
    day = platform.runs.today()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEW_DAY_CHECK_S):
                await stop.wait()
        if platform.runs.today() != day:
            with contextlib.suppress(FieldsvcError):
                await load_day(platform, town, kept, day=platform.runs.today())
                day = platform.runs.today()


async def _office(
    kept: Kept, address: str, *, people: Mapping[str, Mapping[str, str]], day: date, stop: asyncio.Event
) -> None:
    """Let the people behind the counter answer."""
    about = SUPERVISED, POSTCODE, (day + timedelta(days=1)).isoformat()
    links = {role: found["sign_in_url"] for role, found in people.items()}
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=jar) as session:
        office = asyncio.create_task(Office(session, address, kept.subscriber["api_key"], links, *about).run())
        await stop.wait()
        office.cancel()
        await asyncio.gather(office, return_exceptions=True)


def own_types(registry: Registry) -> dict[str, frozenset[str]]:
    """Name the public types that belong to each service alone; without those of which the server speaks when something fails."""
    said = Counter(each.name for handler in registry.handlers.values() for each in handler.publishes)
    return {
        handler.name: frozenset(each.name for each in handler.publishes if said[each.name] == 1)
        for handler in registry.handlers.values()
        if handler.name not in ("silence", "endpoint")
    }


def _counts(ledger: Ledger, hook: Subscriber, services: Mapping[str, frozenset[str]]) -> CountLine:
    received, sent = hook.counts(), ledger.counts()
    heard = sum(not types.isdisjoint(hook.types) for types in services.values())
    flow = sent.taken_in, sent.located, received.delivered, received.violations
    return CountLine(*flow, services=(heard, len(services)))


async def _your_code(platform: Platform, town: Town) -> str:
    """Make the code with which a browser becomes the phone of the one carrier who is not simulated."""
    you = next(carrier for carrier in town.carriers if carrier.round_id == YOURS)
    made = await enrolment.issue_code(
        platform.database, carrier=you.name, site=you.site, round_id=you.round_id, lives=YOUR_CODE_LIVES
    )
    return made.shown


def _links(address: str, kept: Kept, settings: Settings, *, your_code: str) -> list[tuple[str, str]]:
    return [
        ("Home", f"{address}/"),
        ("Your phone", f"{address}/handheld#{your_code}  (once; you walk {YOURS})"),
        ("Supervision", f"{address}/supervision"),
        ("Phones", f"{address}/supervision/phones"),
        ("Integrations", f"{address}/integrations"),
        ("API", f"{address}/docs"),
        ("Event feed", f"curl -H 'Authorization: Bearer {kept.subscriber['api_key']}' {address}/v1/feed"),
        ("Ready?", f"{address}/readyz"),
        ("Metrics", f"{address}/metrics"),
        ("Credentials", str(settings.var_dir / "demo.json")),
    ]


def _about_sign_in(settings: Settings, address: str) -> list[str]:
    if settings.oidc_issuer is None:
        return []
    return [
        f"Customers sign in at {address}/suivi/sign-in as claire (password claire-claire) or hugo, staff at {address}/staff/sign-in as sophie."
    ]


def _demo_file(town: Town, kept: Kept, address: str, people: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    item = next(each for each in town.tasks(date.today()) if each["service"] == "item")  # noqa: DTZ011 - any day will do
    return {
        "url": address,
        "devices": kept.devices,
        "subscriber": {"api_key": kept.subscriber["api_key"]},
        "people": {
            role: {"email": f"{role}@demo.invalid", "sign_in_url": found["sign_in_url"]}
            for role, found in people.items()
        },
        "customer": {"item_id": item["subject"].removeprefix("item/"), "postcode": POSTCODE},
    }
