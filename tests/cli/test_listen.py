"""`fieldsvc listen` beside the real service: a developer's receiver gets what an endpoint would, and checks it."""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from fieldsvc.access import accounts
from fieldsvc.arguments import listen_arguments
from fieldsvc.errors import UserMistake
from fieldsvc.listen import Plan, listen, read_plan
from fieldsvc.settings import Settings, without_settings
from tests.acceptance.service import Caller, Service, field_event, fresh
from tests.databases import drop_database, new_database

PATIENCE_S = 20.0
KINDS = "object.*"


class Receiver(ThreadingHTTPServer):
    """The developer's program: it keeps what came, with what it answered; `refuse` says how often a subject gets 500."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.came: list[tuple[dict[str, str], bytes, int]] = []
        self.refuse: dict[str, int] = {}
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        subject = json.loads(body)["subject"]
        left = self.refuse.get(subject, 0)
        self.refuse[subject] = max(left - 1, 0)
        status = 500 if left else 204
        self.came.append((headers, body, status))
        return status

    def taken(self, subject: str) -> list[Any]:
        bodies = [json.loads(body) for _, body, status in list(self.came) if status == 204]
        return [event["data"]["value"] for event in bodies if event["subject"] == subject]


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        assert isinstance(self.server, Receiver)
        self.send_response(self.server.take(headers, body))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


class Listening:
    """The command as a process; its lines are read as they come."""

    def __init__(self, environment: dict[str, str], *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fieldsvc", "listen", *words],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def until(self, word: str) -> str:
        """Wait for a line that has the word; return it."""
        return wait_for(lambda: next((line for line in list(self.lines) if word in line), ""))

    @property
    def secret(self) -> str:
        return self.until("signed with").split()[-1]

    def interrupt(self) -> float:
        """Press Ctrl-C; return the seconds until it had ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)
        took = time.monotonic() - began
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()
        return took


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not come")


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = new_database(postgres_url)
    opened = Service(url, tmp_path_factory.mktemp("listen"))
    yield opened
    opened.close()
    drop_database(postgres_url, url)


@pytest.fixture(scope="module")
def caller(service: Service) -> Caller:
    found = service.call(accounts.create_subscriber(service.platform.database, "Developer", scopes=["operator"]))
    return Caller(service, "developer", found["api_key"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.shutdown()
    opened.server_close()


@pytest.fixture
def environment(caller: Caller, tmp_path: Path) -> dict[str, str]:
    return {
        **without_settings(),
        "FIELDSVC_API_KEY": caller.secret,
        "FIELDSVC_VAR_DIR": str(tmp_path),
        "FIELDSVC_LOG_LEVEL": "error",
    }


@pytest.fixture
def listening(environment: dict[str, str], service: Service) -> Iterator[Callable[..., Listening]]:
    """Start the command as a process of its own."""
    opened: list[Listening] = []

    def start(*words: str, **more: str) -> Listening:
        opened.append(Listening({**environment, **more}, "--target", service.url, *words))
        return opened[-1]

    yield start
    for each in opened:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def plan_of(*words: str, key: str | None) -> Plan:
    parser = argparse.ArgumentParser()
    listen_arguments(parser)
    return read_plan(parser.parse_args(words), Settings(api_key=key))


@asynccontextmanager
async def told(plan: Plan) -> AsyncIterator[list[str]]:
    """Listen inside this process; give the lines."""
    lines: list[str] = []
    job = asyncio.create_task(listen(plan, say=lines.append))
    try:
        yield lines
    finally:
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not found():  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0.02)


def signal_of(name: str, value: Any) -> dict[str, Any]:
    return field_event("object.signalled", {"object_id": name, "kind": "sensor", "value": value})


def test_events_from_now_on_are_printed_and_forwarded_in_order_as_an_endpoint_would(
    caller: Caller, receiver: Receiver, listening: Callable[..., Listening]
) -> None:
    old, one, other = fresh("O"), fresh("O"), fresh("O")
    caller.send(signal_of(old, 1))
    (last,) = caller.feed(KINDS)[-1:]
    process = listening("--types", KINDS, "--forward", receiver.url)
    process.until("signed with")
    assert last["subject"] == f"object/{old}"
    receiver.refuse[f"object/{one}"] = 1
    caller.send(*(signal_of(name, value) for value in range(5) for name in (one, other)))
    wait_for(lambda: len(receiver.taken(f"object/{one}")) == 5 and len(receiver.taken(f"object/{other}")) == 5)
    assert receiver.taken(f"object/{one}") == receiver.taken(f"object/{other}") == list(range(5))
    check = Webhook(process.secret)
    known = {event["id"]: event for event in caller.feed(KINDS)}
    for headers, body, _ in receiver.came:
        assert check.verify(body, headers) == known[headers["webhook-id"]]
        assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert process.until("500 in").rstrip().endswith("again in 1 s")
    line = next(line for line in process.lines if " 204 in" in line and f"object/{other}" in line)
    assert line.split()[1:3] == ["object.signalled", f"object/{other}"]
    assert line.split()[3] in known
    assert process.interrupt() < PATIENCE_S
    assert process.process.returncode == 130
    assert process.lines[-1].startswith("Go on with  --after ")
    assert process.errors == ""
    assert caller.secret not in "".join(process.lines)


async def test_it_goes_on_where_it_stopped_and_repeats_what_the_receiver_had_not_taken(
    caller: Caller, receiver: Receiver, service: Service, tmp_path: Path
) -> None:
    name, kept, secret = fresh("O"), tmp_path / "cursor", "whsec_" + "QUJD" * 8
    words = ("--target", service.url, "--types", KINDS, "--forward", receiver.url)
    (tmp_path / "secret").write_text(secret)
    words = (*words, "--secret-file", str(tmp_path / "secret"))
    words = (*words, "--cursor-file", str(kept))
    async with told(plan_of(*words, key=caller.secret)) as lines:
        await until(lambda: lines)
        caller.send(signal_of(name, 1))
        await until(kept.is_file)
        assert receiver.taken(f"object/{name}") == [1]
        receiver.refuse[f"object/{name}"] = 99
        caller.send(signal_of(name, 2), signal_of(name, 3))
        await until(lambda: "again in" in lines[-1])
    receiver.refuse.clear()
    caller.send(signal_of(name, 4))
    async with told(plan_of(*words, key=caller.secret)) as lines:
        await until(lambda: receiver.taken(f"object/{name}") == [1, 2, 3, 4])
    Webhook(secret).verify(receiver.came[-1][1], receiver.came[-1][0])
    assert lines[-1].split()[-1] == kept.read_text().strip()


async def test_an_event_that_is_given_up_does_not_stop_what_follows_it(
    caller: Caller, receiver: Receiver, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldsvc.listen.RETRIES_S", (0.01, 0.02))
    name = fresh("O")
    words = ("--target", service.url, "--types", KINDS, "--forward", receiver.url)
    async with told(plan_of(*words, key=caller.secret)) as lines:
        await until(lambda: len(lines) == 2)
        receiver.refuse[f"object/{name}"] = 3
        caller.send(signal_of(name, 1), signal_of(name, 2))
        await until(lambda: receiver.taken(f"object/{name}") == [2])
    assert sum("again in" in line for line in lines) == 2
    assert sum("given up" in line for line in lines) == 1


async def test_a_connection_that_is_lost_is_made_again_and_nothing_is_missed_or_told_twice(
    caller: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldsvc.feed_client.SILENCE_S", 0.2)  # the feed is quiet for longer: it seems lost
    monkeypatch.setattr("fieldsvc.feed_client.RECONNECT_S", (0.01,))
    name = fresh("O")
    async with told(plan_of("--target", service.url, "--types", KINDS, key=caller.secret)) as lines:
        for number in range(3):
            lost = sum("lost" in line for line in lines)
            await until(lambda lost=lost: sum("lost" in line for line in lines) > lost)
            caller.send(signal_of(name, number))
        await until(lambda: sum(name in line for line in lines) == 3)


async def test_without_a_receiver_it_prints_from_the_oldest_on_and_takes_the_key_from_a_demos_file(
    caller: Caller, service: Service, tmp_path: Path
) -> None:
    name, demo = fresh("O"), tmp_path / "demo.json"
    caller.send(signal_of(name, 7))
    demo.write_text(json.dumps({"subscriber": {"api_key": caller.secret}}))
    words = ("--target", service.url, "--after", "oldest", "--api-key-file", str(demo))
    async with told(plan_of(*words, key="wrong")) as lines:
        await until(lambda: any(name in line for line in lines))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--forward", "127.0.0.1:9000"), "--forward is an address"),
        (("--target", "ftp://x"), "--target is an address"),
        (("--secret-file", "/nowhere/key"), "There is no file"),
        (("--secret-file", __file__), "The secret is not one"),
        (("--types", "Item!"), "A type filter is a name"),
        (("--after", "elsewhere"), "This is no cursor"),
        (("--cursor-file", "/nowhere/cursor"), "There is no folder"),
        (("--api-key-file", "/nowhere/key"), "There is no file"),
        (("--api-key-file", __file__), "There is no API key in"),
        ((), "The service does not know this API key"),
        (("--target", "http://127.0.0.1:9"), "Nothing answers at"),
    ],
)
async def test_what_was_typed_wrong_is_said_in_one_sentence(
    caller: Caller, service: Service, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UserMistake, match=sentence):
        await listen(plan_of("--target", service.url, *words, key=caller.secret if words else "not-a-key"), say=print)


def test_a_users_mistake_is_one_plain_line_and_status_2(listening: Callable[..., Listening]) -> None:
    told = listening(FIELDSVC_API_KEY="")
    _, errors = told.process.communicate(timeout=PATIENCE_S)
    assert told.process.returncode == 2
    assert errors.startswith("fieldsvc: This setting is not valid: FIELDSVC_API_KEY (is empty)")
    assert errors.count("\n") == 1
