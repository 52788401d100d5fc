"""The stream sink is asked for by one setting, and needs nothing where it is not."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from fieldsvc.bench import streams as bench
from fieldsvc.bench import suite
from fieldsvc.bench.service import Process, Site
from fieldsvc.errors import UserMistake
from fieldsvc.platform import Platform
from fieldsvc.publishing.streams import opening
from fieldsvc.settings import Settings
from tests.acceptance.service import Service

PASSWORD = "hush-hush"
URL = f"nats://fieldsvc:{PASSWORD}@127.0.0.1:4222"


def platform(**settings: Any) -> Any:
    nothing = SimpleNamespace()
    vault = SimpleNamespace(epoch=uuid4())
    return SimpleNamespace(settings=Settings(**settings), database=nothing, reader=nothing, tail=nothing, vault=vault)


def test_without_the_setting_there_is_no_sink_and_nothing_of_nats_is_imported() -> None:
    assert opening.open_streams(platform()) is None
    found = "import fieldsvc.app, sys; print([name for name in sys.modules if name.split('.')[0] == 'nats'])"
    done = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda _name: None)
    with pytest.raises(UserMistake, match=r"pip install 'fieldsvc\[nats\]'") as told:
        opening.open_streams(platform(nats_url=SecretStr(URL)))
    assert PASSWORD not in str(told.value)


def test_what_the_stream_keeps_is_set_by_the_operator() -> None:
    sink = opening.open_streams(
        platform(nats_url=SecretStr(URL), nats_replicas=3, nats_keep_days=7, nats_max_bytes=10**9)
    )
    assert sink is not None
    config = sink._tools.limits.config()
    assert (config["num_replicas"], config["max_age"], config["max_bytes"]) == (3, 7 * 86_400 * 10**9, 10**9)
    assert (config["storage"], config["discard"], config["allow_atomic"]) == ("file", "old", True)


def test_the_address_can_be_read_from_a_file_and_is_shown_nowhere(monkeypatch: Any, tmp_path: Any) -> None:
    (tmp_path / "nats_url").write_text(f"{URL}\n")
    monkeypatch.setenv("FIELDSVC_NATS_URL_FILE", str(tmp_path / "nats_url"))
    settings = Settings()
    assert settings.nats_url is not None
    assert settings.nats_url.get_secret_value() == URL
    assert PASSWORD not in repr(settings)


@pytest.fixture
def in_this_process(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run the benchmark's service here: the whole of it, on the database of this test."""

    @asynccontextmanager
    async def running(prepare: Any, *, NATS_URL: str) -> AsyncIterator[Site[Any]]:  # noqa: N803 - the setting's name
        kit: list[Any] = []

        async def prepared(platform: Platform) -> None:
            kit.append(await prepare(platform))

        service = await asyncio.to_thread(
            Service, database_url, tmp_path, prepare=prepared, nats_url=SecretStr(NATS_URL)
        )
        try:
            yield Site(Process(service.url, os.getpid()), database_url, kit[0])
            assert service.counted("fieldsvc_stream_connected") == 1
            assert service.counted("fieldsvc_stream_published") > 205
        finally:
            await asyncio.to_thread(service.close)

    monkeypatch.setattr(bench, "running", running)


async def test_a_whole_service_publishes_to_the_stream_and_the_benchmark_tells_how_fast(
    in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BACKLOG", 200), ("ONE_BY_ONE", 40), ("ALONE", 5)):
        monkeypatch.setattr(bench, name, value)
    lines: list[dict[str, Any]] = []
    await suite.run("streams", cycles=1, full=False, show=lines.append)
    assert [line["metric"] for line in lines] == [
        "atomic_batch_messages_per_s",
        "rows_to_stream_per_s",
        "acknowledged_to_consumer_ms",
    ]
    assert all(line["value"] > 0 and line["ratio"] > 0 for line in lines)
    assert lines[0]["conditions"]["messages"] >= 205
