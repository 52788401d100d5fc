"""People online: who follows an item or asks for a change, partners, the counter, the adviser, and signing in."""

import time

from aiohttp import web

from fieldsvc.access.limits import Limits
from fieldsvc.following.approach import Approaches
from fieldsvc.following.desk import Following
from fieldsvc.following.finding import Finder
from fieldsvc.following.proving import Proving
from fieldsvc.journal.stories import Stories
from fieldsvc.platform import Platform
from fieldsvc.reports.waits import Waits
from fieldsvc.requests.advising import Advising
from fieldsvc.requests.counter import CounterDesk
from fieldsvc.requests.desk import Desk
from fieldsvc.requests.drafts import draft_key
from fieldsvc.requests.households import Households
from fieldsvc.requests.knowing import Knowledge
from fieldsvc.requests.links import link_key
from fieldsvc.requests.staff import Staff
from fieldsvc.requests.visits import Visits
from fieldsvc.requests.voices import Voices
from fieldsvc.web import (
    adviser_cases,
    adviser_page,
    change_pages,
    counter_page,
    delivery_changes,
    following,
    following_proof,
    households,
    partner,
    partner_change,
    partner_new,
    people,
    request_pages,
    run_stops,
    sign_in,
    sign_in_page,
    staff_sign_in,
    visits,
    voices,
)
from fieldsvc.work.orders import Orders


def add_people(app: web.Application, platform: Platform) -> None:
    """Add the pages of customers, partners, the counter and the adviser, and how everybody signs in; the forecasts of the screens are there already."""
    _add_sign_in(app, platform)
    _add_changes(app, platform)
    _add_following(app, platform)
    _add_households(app, platform)
    _add_partners(app, platform)
    _add_desks(app, platform)


def _add_sign_in(app: web.Application, platform: Platform) -> None:
    app[sign_in.SIGN_IN] = sign_in.signing_of(platform.settings, platform.database, platform.vault)
    app[sign_in_page.MAILS_LEFT] = Limits(sign_in_page.MAILS, clock=time.monotonic)
    app.add_routes([*people.routes, *sign_in_page.routes, *staff_sign_in.routes])


def _add_changes(app: web.Application, platform: Platform) -> None:
    app[delivery_changes.DESK] = Desk.of(
        platform.settings,
        platform.database,
        platform.vault,
        opener=platform.opener,
        commands=platform.commands,
        rounds=platform.rounds,
    )
    app[change_pages.DRAFT_KEY], app[change_pages.PLACER] = draft_key(platform.vault), platform.placer
    app.add_routes([*delivery_changes.routes, *change_pages.routes, *request_pages.routes])


def _add_following(app: web.Application, platform: Platform) -> None:
    settings, handlers = platform.settings, platform.registry.handlers
    knowledge = Knowledge(
        platform.database,
        platform.vault,
        platform.opener,
        rounds=platform.rounds,
        items=handlers["item"],
        zone=settings.zone,
    )
    approaches = Approaches(app[run_stops.FORECASTS], knowledge, platform.rounds)
    stories = Stories(platform.database, platform.vault)
    app[following.FINDER] = Finder(knowledge, platform.vault)
    app[following.FOLLOWING] = Following(platform.database, stories, handlers, approaches, settings.zone)
    app[following.LINK_KEY], app[following.HELP_PHONE] = link_key(platform.vault), settings.help_phone
    app[following_proof.PROVING] = Proving(platform.database, platform.vault, platform.opener)
    app.add_routes([*following.routes, *following_proof.routes])


def _add_households(app: web.Application, platform: Platform) -> None:
    database, vault, opener, commands = platform.database, platform.vault, platform.opener, platform.commands
    app[voices.VOICES] = Voices(database, vault, opener, commands)
    app[households.HOUSEHOLDS] = Households(
        *(database, vault, opener, commands),
        plans=platform.tasks,
        placer=platform.placer,
        zone=platform.settings.zone,
    )
    app[visits.VISITS] = Visits(database, vault, platform.registry, platform.settings.zone)
    app.add_routes([*voices.routes, *households.routes, *visits.routes])


def _add_partners(app: web.Application, platform: Platform) -> None:
    app[partner.ORDERS] = Orders(
        platform.tasks,
        Stories(platform.database, platform.vault),
        opener=platform.opener,
        registry=platform.registry,
        commands=platform.commands,
    )
    app[partner_new.PLACER] = platform.placer
    app.add_routes([*partner.routes, *partner_new.routes, *partner_change.routes])


def _add_desks(app: web.Application, platform: Platform) -> None:
    database, vault, zone = platform.database, platform.vault, platform.settings.zone
    items = platform.registry.handlers["item"]
    staff = Staff(database, vault, platform.opener, platform.reader, items)
    app[counter_page.COUNTER] = CounterDesk(staff, platform.commands, platform.media, vault, zone)
    app[counter_page.WAITS] = Waits(database, vault, zone)
    app[adviser_page.ADVISING] = Advising(staff, platform.commands)
    app.add_routes([*counter_page.routes, *adviser_page.routes, *adviser_cases.routes])
