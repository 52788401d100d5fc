"""Tasks from a file: JSON lines or CSV of the body of `POST /v1/tasks`, planned through the journal."""

import asyncio
import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson

from fieldsvc.errors import FieldsvcError
from fieldsvc.store import task as store
from fieldsvc.work.errors import BadImport
from fieldsvc.work.imports import Progress, no_progress, without_nul
from fieldsvc.work.sheets import BlobOpener
from fieldsvc.work.task_body import TaskBody, day_of, handler_of, order_of, read_body, subject_of
from fieldsvc.work.tasks import Tasks, ordered
from handlers.registry import Registry
from handlers.story import Actor

_AT_ONCE = 200
_SHOWN = 20
_OPENED_AT_ONCE = 1_000
_COLUMNS = frozenset({*TaskBody.model_fields, "window_from", "window_until"})
_JSON_COLUMNS = frozenset({"window", "form", "mandates", "contacts", "details"})
_LIST_COLUMN = "requirements"


@dataclass
class TaskReport:
    """What became of a file of tasks; `warned` and `refused` hold the first `(line, reason)`."""

    tasks: int = 0
    planned: int = 0
    unchanged: int = 0
    warnings: int = 0
    warned: list[tuple[int, str]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Line:
    """One task of the file, ready to be sent."""

    line_no: int
    body: TaskBody
    order: dict[str, Any]


class TaskImport:
    """Imports tasks for the operator, or for one account."""

    def __init__(self, tasks: Tasks, *, opener: BlobOpener, registry: Registry, zone: tzinfo) -> None:
        self._tasks = tasks
        self._opener = opener
        self._registry = registry
        self._zone = zone

    async def run(
        self, lines: Iterable[str], *, account: str | None = None, progress: Progress = no_progress
    ) -> TaskReport:
        """Import a file. The id of a task comes from account, service, subject and day, so a second import changes nothing.

        BadImport with the line and the mistake, before anything is planned; or, when services refused tasks, after the
        others were.
        """
        report = TaskReport()
        actor = Actor("subscriber", account=account) if account else Actor("operator")
        read = self._read(lines, account)
        report.tasks = len(read)
        for start in range(0, len(read), _OPENED_AT_ONCE):
            chunk = read[start : start + _OPENED_AT_ONCE]
            fresh = await self._changed(chunk)
            report.unchanged += len(chunk) - len(fresh)
            await self._send(fresh, actor, report, progress=progress, done=start)
            progress(start + len(chunk))
        if report.refused:
            line_no, reason = report.refused[0]
            raise BadImport(
                f"line {line_no}: {reason} ({report.planned} of {report.tasks} tasks were planned, {report.unchanged} were "
                f"so already; refused lines: {', '.join(str(line) for line, _ in report.refused)})"
            )
        return report

    def _read(self, lines: Iterable[str], account: str | None) -> list[_Line]:
        read: list[_Line] = []
        seen: dict[str, int] = {}
        try:
            for line_no, raw in _bodies(without_nul(lines)):
                line = self._line(line_no, raw, account)
                task_id = line.order["task_id"]
                if task_id in seen:
                    raise BadImport(f"line {line_no}: the same service, subject and day are on line {seen[task_id]}.")
                seen[task_id] = line_no
                read.append(line)
        except UnicodeDecodeError:
            raise BadImport("file: it is not UTF-8 text.") from None
        if not read:
            raise BadImport("line 1: there is no task.")
        return read

    def _line(self, line_no: int, raw: dict[str, Any], account: str | None) -> _Line:
        try:
            body = read_body(raw)
            handler = handler_of(self._registry, body.service)
            issued = hashlib.sha256(orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12].upper()
            subject = subject_of(handler, body, issued=issued)
        except FieldsvcError as error:
            raise BadImport(f"line {line_no}: {error.detail}") from None
        on = day_of(body, self._zone, datetime.now(UTC))
        named = f"{account or ''} {body.service} {subject} {on}"
        task_id = f"tsk_{hashlib.sha256(named.encode()).hexdigest()[:32]}"
        return _Line(line_no, body, order_of(task_id, subject, body, on=on, delivery_point=body.delivery_point))

    async def _changed(self, lines: Sequence[_Line]) -> list[_Line]:
        """Leave out the tasks that are there already and say the same, or are closed."""
        rows = await store.read_many(self._tasks.database, [line.order["task_id"] for line in lines])
        known = list(rows.values())
        opened = await self._opener.open_blobs([row.sealed for row in known]) if known else []
        before: dict[str, dict[str, Any] | None] = {}
        for row, personal in zip(known, opened, strict=True):
            body = ordered(row, personal if isinstance(personal, dict) else {})
            before[row.id] = body if row.state == "planned" else None
        return [line for line in lines if not _same(line, before)]

    async def _send(
        self, lines: Sequence[_Line], actor: Actor, report: TaskReport, *, progress: Progress, done: int
    ) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def send(line: _Line) -> None:
            async with gate:
                await self._send_one(line, actor, report)
                progress(done + report.planned + len(report.refused))

        await asyncio.gather(*(send(line) for line in lines))

    async def _send_one(self, line: _Line, actor: Actor, report: TaskReport) -> None:
        try:
            point, warnings = await self._tasks.placed(line.body, line.order["subject"])
            await self._tasks.send({**line.order, **({"delivery_point": point} if point else {})}, actor)
        except FieldsvcError as error:
            report.refused.append((line.line_no, error.detail))
            return
        report.planned += 1
        report.warnings += len(warnings)
        if len(report.warned) < _SHOWN:
            report.warned += [(line.line_no, warning) for warning in warnings]


def _same(line: _Line, before: dict[str, dict[str, Any] | None]) -> bool:
    if line.order["task_id"] not in before:
        return False
    kept = before[line.order["task_id"]]
    new = {name: value for name, value in line.order.items() if name != "task_id"}
    if kept is not None and "delivery_point" not in new:  # it was found from the address
        kept = {name: value for name, value in kept.items() if name != "delivery_point"}
    return kept is None or kept == new


def _bodies(lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    first = next(lines, "").removeprefix("\ufeff")
    yield from _json_bodies(first, lines) if first.lstrip()[:1] in {"{", "["} else _csv_bodies(first, lines)


def _json_bodies(first: str, rest: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    line_no, line = 1, first
    while True:
        if line.strip():
            try:
                body = orjson.loads(line)
            except orjson.JSONDecodeError:
                raise BadImport(f"line {line_no}: this is not JSON.") from None
            if not isinstance(body, dict):
                raise BadImport(f"line {line_no}: a task is a JSON object.")
            yield line_no, body
        following = next(rest, None)
        if following is None:
            return
        line_no, line = line_no + 1, following


def _csv_bodies(header: str, rest: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    delimiter = ";" if header.count(";") > header.count(",") else ","
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    if "service" not in names:
        raise BadImport("line 1: this is neither JSON lines nor a CSV with a header that has `service`.")
    if unknown := sorted(set(names) - _COLUMNS):
        raise BadImport(f"line 1: the columns {', '.join(unknown)} mean nothing here.")
    reader = csv.reader(rest, delimiter=delimiter)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                line_no = reader.line_num + 1
                if len(cells) != len(names):
                    raise BadImport(f"line {line_no}: it has {len(cells)} columns and the header has {len(names)}.")
                yield line_no, _csv_body(line_no, dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        raise BadImport(f"line {reader.line_num + 1}: this is not CSV ({error}).") from None


def _csv_body(line_no: int, row: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {name: value.strip() for name, value in row.items() if value.strip()}
    for name in _JSON_COLUMNS & body.keys():
        try:
            body[name] = orjson.loads(body[name])
        except orjson.JSONDecodeError:
            raise BadImport(f"line {line_no}: {name} is not JSON.") from None
    if _LIST_COLUMN in body:
        body[_LIST_COLUMN] = [part for part in body[_LIST_COLUMN].replace("|", " ").split() if part]
    window = {end: body.pop(f"window_{end}") for end in ("from", "until") if f"window_{end}" in body}
    return {**body, "window": window} if window else body
