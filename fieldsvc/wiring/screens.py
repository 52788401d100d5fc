"""The operator's screens: work, roster, cover, alarms, the live map, figures."""

import asyncio

from aiohttp import web

from fieldsvc.jobs import Jobs
from fieldsvc.journal.arrivals import Arrivals
from fieldsvc.journal.quarantine import Quarantine
from fieldsvc.platform import Platform
from fieldsvc.publishing.failing import Failing
from fieldsvc.publishing.formats.telling import Origin
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.standing import Standings
from fieldsvc.tracking.board import Board
from fieldsvc.tracking.eta import Forecasts
from fieldsvc.tracking.geometry import Geometry
from fieldsvc.tracking.health import Health
from fieldsvc.tracking.lines import Lines
from fieldsvc.tracking.not_back import NotBack
from fieldsvc.tracking.overview import Overview
from fieldsvc.tracking.timeline import LATE_S, Timelines
from fieldsvc.web import (
    address_changes,
    alerts,
    basemap,
    board_pages,
    cases,
    colleagues,
    cover,
    delivery_points,
    desks,
    events,
    handheld_page,
    hazards,
    health,
    home,
    ideas,
    kpis,
    live,
    middlewares,
    mirror,
    national_page,
    not_back,
    overview,
    phones_page,
    proofs,
    roster,
    run_requests,
    run_stops,
    runs_work,
    supervision_page,
    supervisor,
    task_list,
    tasks,
    timeline,
)
from fieldsvc.web.pages import files
from fieldsvc.work.address_reports import AddressReports
from fieldsvc.work.cover import Cover
from fieldsvc.work.proofs import Proofs
from fieldsvc.work.roster import Rosters
from fieldsvc.work.run_changes import RunChanges


def add_screens(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    """Add what the operator's own people look at and decide."""
    _add_work(app, platform)
    _add_pages(app, platform)
    _add_reports(app, platform)
    _add_live(app, platform, jobs)


def _add_work(app: web.Application, platform: Platform) -> None:
    database, commands, rounds, runs = platform.database, platform.commands, platform.rounds, platform.runs
    app[tasks.TASKS] = platform.tasks
    app[proofs.PROOFS] = Proofs(database, platform.vault, platform.media)
    app[roster.ROSTERS] = Rosters(database, runs)
    app[runs_work.CHANGES] = RunChanges(database, commands, runs)
    app[cover.COVER] = Cover(database, commands, rounds, runs, platform.settings.zone)
    app[address_changes.REPORTS] = AddressReports(database, commands, platform.opener, rounds)
    app[alerts.ALERTS] = alerts.Alerts(database, platform.opener, commands)
    app.add_routes([*tasks.routes, *task_list.routes, *proofs.routes, *roster.routes, *runs_work.routes])
    app.add_routes([*cover.routes, *address_changes.routes, *alerts.routes])


def _add_pages(app: web.Application, platform: Platform) -> None:
    if platform.settings.basemap is not None:
        app[basemap.BASEMAP] = basemap.read_basemap(platform.settings.basemap)
    files.every_file()  # read and compressed now, not while the first reader waits
    app.add_routes([*home.routes, *files.routes, *handheld_page.routes, *phones_page.routes, *mirror.routes])
    app.add_routes([*supervision_page.routes, *national_page.routes, *board_pages.routes, *basemap.routes])
    app.add_routes(desks.routes)


def _add_reports(app: web.Application, platform: Platform) -> None:
    app[kpis.ZONE] = platform.settings.zone
    app[cases.CASES] = cases.Cases(platform.database, platform.reader, platform.opener, platform.commands)
    app[ideas.OPENER] = platform.opener
    app.add_routes([*kpis.routes, *cases.routes, *ideas.routes])


def _add_live(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    lines = app[supervisor.LINES] = Lines(platform.database)
    app[supervisor.GEOMETRY], app[supervisor.DAYS] = Geometry(platform.database, platform.rounds), platform.runs
    board = app[live.BOARD] = Board(platform.database, lines, platform.settings.zone)
    if events.INTAKE in app:
        app[events.INTAKE].siren.listen(board.show_early)
    seats = app[live.SEATS] = live.Seats()
    app[middlewares.METRICS].watch("fieldsvc_live_streams", "Live streams that are open.", lambda: seats.count)
    app[run_stops.FORECASTS] = Forecasts(
        platform.database, platform.rounds, platform.settings.zone, hours=platform.settings.hours
    )
    app[hazards.WATCHED] = hazards.Watched(platform.database, platform.opener)
    app[timeline.TIMELINES] = Timelines(platform.database, platform.vault, platform.registry)
    app[overview.OVERVIEW] = Overview(platform.database, board, platform.runs)
    app[not_back.NOT_BACK] = NotBack(
        platform.database,
        app[run_stops.FORECASTS],
        platform.runs,
        registry=platform.registry,
        hours=platform.settings.hours,
    )
    app.add_routes([*timeline.routes, *run_requests.routes, *colleagues.routes, *overview.routes, *not_back.routes])
    arrivals = Arrivals(platform.database, platform.reader, platform.settings.zone, late_s=LATE_S)
    app[health.HEALTH] = Health(arrivals, Quarantine(platform.database, platform.vault), board)
    renderer = Renderer(platform.opener, Origin.of(platform.settings))
    app[health.FAILING] = Failing(platform.database, Standings(platform.database, platform.reader, renderer))
    app.add_routes(health.routes)
    app.add_routes([*live.routes, *supervisor.routes, *delivery_points.routes, *hazards.routes, *run_stops.routes])
    jobs["live"] = board.run

    async def at_once(_app: web.Application) -> None:
        board.close()
        asyncio.get_running_loop().call_later(live.LAST_WRITE_S, seats.abort)

    app.on_shutdown.append(at_once)
