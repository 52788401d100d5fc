"""The disk is full under the database, its log and the service's own files: 503 with a time to come again, and nothing is lost."""

import asyncio
import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldsvc.bench.faults.children import Children, until
from fieldsvc.bench.faults.oracle import Report
from fieldsvc.bench.faults.scene import Scene, scene
from tests.media.pictures import photo

pytestmark = pytest.mark.fault
SIZE_MB, WITHIN_S, FULL_S = 700, 60.0, 2.0
BLOCK = bytes(1_048_576)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for the service's folder."""
    folder = tmp_path / "var"
    folder.mkdir()
    options = f"size={SIZE_MB}m,mode=755"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(ballast: Path) -> None:
    """Take what is left of the disk."""
    with ballast.open("ab", buffering=0) as file:
        for part in (BLOCK, BLOCK[:4096], BLOCK[:1]):
            try:
                while file.write(part) == len(part):
                    pass
            except OSError:
                continue


async def photographed(town: Scene) -> tuple[int, bool]:
    """Send a picture; return the status, and whether there was a time to come again."""
    data = photo()
    headers = {"Authorization": f"Bearer {town.credentials.devices[0].token}", "Content-Type": "image/jpeg"}
    path = f"{town.service.url}/v1/media/{hashlib.sha256(data).hexdigest()}"
    async with town.fleet.session.put(path, data=data, headers=headers) as answer:
        return answer.status, "Retry-After" in answer.headers


async def test_a_full_disk_is_answered_with_503_and_what_was_acknowledged_is_there_when_space_returns(
    children: Children, small_disk: Path, tmp_path: Path, report: Report
) -> None:
    ballast = small_disk / "ballast"
    async with scene(children, tmp_path, seed=12, patience_s=1.0) as town:
        refused = town.fleet.statuses[503]
        await asyncio.to_thread(fill, ballast)
        await until(lambda: town.fleet.statuses[503] > refused + 3, within_s=WITHIN_S, says="Nothing was refused.")
        assert await photographed(town) == (503, True)
        await asyncio.sleep(FULL_S)
        free = os.statvfs(small_disk).f_bavail
        ballast.unlink()
        began = time.monotonic()
        await town.fleet.progress(within_s=WITHIN_S)
        back_s = time.monotonic() - began
        assert (await photographed(town))[0] == 201
        verdict = await town.reckon()
        statuses = dict(town.fleet.statuses)
    report(f"disk full ({free} blocks left), back in {back_s:.1f} s, answers {statuses}", verdict)
    assert verdict.faults == []
    assert verdict.stored == len(verdict.phones.generated) == len(verdict.phones.held)
