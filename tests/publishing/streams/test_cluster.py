"""Three servers with the operator's configuration: one of them is killed, and the stream goes on, whole and in order."""

import json
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fieldsvc.publishing.streams.broker import StreamLimits
from fieldsvc.publishing.streams.messages import STREAM
from tests.docker.project import ROOT
from tests.publishing.streams.conftest import Nats, assert_whole

CONFIGURATION = (ROOT / "docker/nats-cluster.conf").read_text()
NAMES = ("nats1", "nats2", "nats3")
SUBJECTS = [f"item/C{number}" for number in range(8)]
PASSWORD, WITHIN_S = "cluster-word", 60


class Member(Nats):
    """One server of the cluster, with docker/nats-cluster.conf as it stands but for the folder, the ports and the hosts."""

    def __init__(self, folder: Path, name: str, *, ports: Sequence[int]) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.name = name
        text = CONFIGURATION.replace("$NATS_NAME", name)
        changes = [('"/data"', json.dumps(str(folder / "store"))), ("0.0.0.0:4222", f"127.0.0.1:{self.port}")]
        changes += [
            ("127.0.0.1:8222", f"127.0.0.1:{self.monitor}"),
            ("0.0.0.0:6222", f"127.0.0.1:{ports[NAMES.index(name)]}"),
        ]
        changes += [(f"{other}:6222", f"127.0.0.1:{port}") for other, port in zip(NAMES, ports, strict=True)]
        for said, instead in changes:
            assert said in text
            text = text.replace(said, instead)
        self._config.write_text(text)

    @property
    def url(self) -> str:
        return f"nats://fieldsvc:{PASSWORD}@127.0.0.1:{self.port}"


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Member]]:
    monkeypatch.setenv("NATS_FIELDSVC_PASSWORD", PASSWORD)
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in NAMES]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    members = [Member(tmp_path / name, name, ports=ports) for name in NAMES]
    try:
        for member in members:
            await member.start()
        yield members
    finally:
        for member in members:
            member.kill()


async def test_a_cluster_whose_leader_is_killed_goes_on_and_has_everything_once_and_in_order(
    begin: Any, cluster: list[Member], journal: Any, tools: Any
) -> None:
    sink = await begin(urls=[member.url for member in cluster], limits=StreamLimits(replicas=3))
    await journal.say_all(SUBJECTS * 3)
    await tools.poll(lambda: sink.published == len(journal.ids), within_s=WITHIN_S)
    about = await cluster[0].ask(f"STREAM.INFO.{STREAM}")
    assert (about["config"]["num_replicas"], len(about["cluster"]["replicas"])) == (3, 2)
    (leader,) = [member for member in cluster if member.name == about["cluster"]["leader"]]
    leader.kill()
    await journal.say_all(SUBJECTS * 3)
    left = next(member for member in cluster if member is not leader)

    async def has_all() -> bool:
        return bool(await left.count() >= len(journal.ids))

    await tools.poll(has_all, within_s=WITHIN_S)
    assert_whole(await left.stored(), journal.ids)
    await leader.start()

    async def is_current() -> bool:
        copies = (await left.ask(f"STREAM.INFO.{STREAM}"))["cluster"].get("replicas", [])
        return len(copies) == 2 and all(each["current"] for each in copies)

    await tools.poll(is_current, within_s=WITHIN_S)
    assert_whole(await leader.stored(), journal.ids)
