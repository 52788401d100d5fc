"""Fetching the pages' foreign assets: only the archive that was agreed on, each once, and a plain line when one cannot be had."""

import base64
import hashlib
import io
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from fieldsvc.web.pages import assets
from fieldsvc.web.pages.assets import Asset, NotFetched, is_there, unpack

FILES = {"package/dist/a.mjs": b"export const a = 1;", "package/LICENSE.txt": b"free"}


def archive(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return made.getvalue()


def asset(content: bytes, *, more: tuple[tuple[str, str], ...] = ()) -> Asset:
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    files = (("package/dist/a.mjs", "a.mjs"), ("package/LICENSE.txt", "a.txt"), *more)
    return Asset("a", "1.0.0", integrity, "the tests", files)


def cpu_s() -> float:
    """Sum up the processor's seconds of finished children: what a busy machine does not change."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put an npm of our own first, and alone, on the PATH."""
    program = folder / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_an_archive_with_another_hash_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    good = archive(FILES)
    with pytest.raises(NotFetched, match="sha512 differs"):
        unpack(asset(good), good + b"\0", tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_exactly_the_wanted_files_are_taken(tmp_path: Path) -> None:
    content = archive({**FILES, "package/dist/other.mjs": b"x", "package/../../escaped": b"x"})
    unpack(asset(content), content, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mjs", "a.txt", "a.json"}
    assert (tmp_path / "a.mjs").read_bytes() == FILES["package/dist/a.mjs"]
    assert is_there(asset(content), tmp_path)


def test_a_missing_file_another_version_or_a_broken_stamp_is_fetched_again(tmp_path: Path) -> None:
    content = archive(FILES)
    unpack(asset(content), content, tmp_path)
    assert not is_there(asset(archive({**FILES, "package/more": b""})), tmp_path)
    (tmp_path / "a.mjs").unlink()
    assert not is_there(asset(content), tmp_path)
    unpack(asset(content), content, tmp_path)
    (tmp_path / "a.json").write_text("{")
    assert not is_there(asset(content), tmp_path)


def test_an_archive_without_a_wanted_file_is_named_and_leaves_no_stamp(tmp_path: Path) -> None:
    content = archive(FILES)
    with pytest.raises(NotFetched, match="has no file package/gone"):
        unpack(asset(content, more=(("package/gone", "gone"),)), content, tmp_path)
    assert not (tmp_path / "a.json").exists()


def test_npm_is_asked_for_the_version_and_its_archive_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = archive(FILES)
    (tmp_path / "kept.tgz").write_bytes(content)
    npm(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked; cp {tmp_path}/kept.tgz "$PWD/a-1.0.0.tgz"')
    assert assets.main(tmp_path / "vendor", wanted=[asset(content)]) == 0
    assert (tmp_path / "asked").read_text().startswith("pack a@1.0.0 ")
    (tmp_path / "asked").unlink()
    assert assets.main(tmp_path / "vendor", wanted=[asset(content)]) == 0
    assert not (tmp_path / "asked").exists()
    assert assets.main(tmp_path / "other", wanted=[asset(content + b"\0")]) == 1
    said = capsys.readouterr()
    assert said.err == "a 1.0.0 is not the archive that was agreed on: its sha512 differs.\n"


def test_without_a_network_one_plain_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    npm(tmp_path, monkeypatch, 'echo "npm error code ENOTFOUND" >&2; echo "npm error a long story" >&2; exit 1')
    assert assets.main(tmp_path / "vendor", wanted=[asset(b"")]) == 1
    assert capsys.readouterr().err == "npm could not fetch a 1.0.0: ENOTFOUND. Is this machine online?\n"


def test_without_npm_and_without_the_lock_file_one_plain_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(assets, "LOCKED", tmp_path / "assets.txt")
    assert assets.main(tmp_path / "vendor", wanted=[asset(b"")]) == 1
    assert capsys.readouterr().err == "There is no npm here, and no assets.txt to install one from.\n"


def test_the_real_files_are_here_and_a_second_run_is_idle_and_quick() -> None:
    for each in assets.ASSETS:
        assert is_there(each, assets.VENDOR), "run `make assets`, or python -m fieldsvc.web.pages.assets"
    took_s = []
    for _ in range(3):
        before = cpu_s()
        done = subprocess.run([sys.executable, "-m", "fieldsvc.web.pages.assets"], capture_output=True, check=True)
        took_s.append(cpu_s() - before)
        assert (done.stdout, done.stderr) == (b"", b"")
    assert min(took_s) < 0.2, took_s


def test_idling_loads_no_server() -> None:
    code = "import sys, fieldsvc.web.pages.assets; print(*[m for m in ('aiohttp', 'jinja2', 'asyncpg') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b""
