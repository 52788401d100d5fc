"""The snippets of docs/subscribers.md, run where their language is: they tell genuine messages from others, and the whole
receiver passes `fieldsvc certify`.
"""

import base64
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
import standardwebhooks.webhooks

from fieldsvc.certify import Plan, certify
from fieldsvc.certifying.grading import Result
from fieldsvc.certifying.sending import Pace
from fieldsvc.publishing.signing import new_secret, sign

PAGE = (Path(__file__).parent.parent / "docs" / "subscribers.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OFFICIAL = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
GOOD, WRONG = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
OURS, OTHERS = new_secret(), new_secret()
EVENT = '{"specversion":"1.0","id":"evt_1","data":{"to":"Zo\u00e9 \U0001f4ee \u2028"}}'.encode()


@dataclass(frozen=True)
class Message:
    """What a snippet gets to judge."""

    about: str
    genuine: bool
    secrets: tuple[str, ...] = (OFFICIAL,)
    id: str = ID
    at: str = str(AT)
    signature: str = GOOD
    body: bytes = BODY
    now: int = AT

    @property
    def headers(self) -> dict[str, str]:
        named = {"webhook-id": self.id, "webhook-timestamp": self.at, "webhook-signature": self.signature}
        return {name: value for name, value in named.items() if value}

    @property
    def line(self) -> str:
        """The message as one line that every language splits: fields in base64."""
        texts = (" ".join(self.secrets), self.id, self.at, self.signature, str(self.now))
        return "\t".join(base64.b64encode(each).decode() for each in (*(text.encode() for text in texts), self.body))


REAL = Message(
    "a real message", True, (OURS,), "evt_1", str(AT), sign([OURS], "evt_1", timestamp=AT, body=EVENT), EVENT
)  # fmt: skip
MESSAGES = [
    Message("the official vector", True),
    Message("a secret without its prefix", True, (OFFICIAL.removeprefix("whsec_"),)),
    Message("one of several signatures", True, signature=f"{WRONG} v2,AAAA {GOOD} {WRONG}"),
    Message("almost five minutes old", True, now=AT + 300),
    Message("almost five minutes ahead", True, now=AT - 300),
    Message("over five minutes old", False, now=AT + 301),
    Message("over five minutes ahead", False, now=AT - 301),
    Message("a wrong signature", False, signature=WRONG),
    Message("an empty signature", False, signature="v1,"),
    Message("a right signature of another version", False, signature=GOOD.replace("v1,", "v2,")),
    Message("no id", False, id=""),
    Message("no timestamp", False, at=""),
    Message("no signature", False, signature=""),
    Message("a timestamp that is none", False, at="soon"),
    Message("another body", False, body=BODY + b" "),
    Message("another id", False, id=ID + "x"),
    Message("another timestamp", False, at=str(AT + 1)),
    REAL,
    replace(REAL, about="a real message, the second key", secrets=(OTHERS, OURS)),
    replace(REAL, about="both keys sign", signature=sign([OTHERS, OURS], "evt_1", timestamp=AT, body=EVENT)),
    replace(REAL, about="a real message, another's key", genuine=False, secrets=(OTHERS,)),
    replace(REAL, about="a real message, changed", genuine=False, body=EVENT.replace(b"evt_1", b"evt_2")),
]
PYTHON_MAIN = """
import sys
for line in sys.stdin:
    secrets, id_, at, signature, now, body = (base64.b64decode(each) for each in line.rstrip("\\n").split("\\t"))
    headers = {"webhook-id": id_.decode(), "webhook-timestamp": at.decode(), "webhook-signature": signature.decode()}
    headers = {name: value for name, value in headers.items() if value}
    print("yes" if is_genuine(secrets.decode().split(), headers, body, int(now)) else "no")
"""
NODE_MAIN = """
for (const line of require("node:fs").readFileSync(0, "utf8").trimEnd().split("\\n")) {
  const [secrets, id, at, signature, now, body] = line.split("\\t").map((each) => Buffer.from(each, "base64"));
  const headers = {"webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature};
  for (const name in headers) { headers[name] = headers[name].toString(); if (!headers[name]) delete headers[name]; }
  console.log(isGenuine(secrets.toString().split(" "), headers, body, Number(now.toString())) ? "yes" : "no");
}
"""
JAVA_MAIN = """
import java.util.*;
public class Main {
    public static void main(String[] args) throws Exception {
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            byte[][] part = new byte[6][];
            String[] fields = lines.nextLine().split("\\t", -1);
            for (int n = 0; n < 6; n++) part[n] = Base64.getDecoder().decode(fields[n]);
            String[] names = {"", "webhook-id", "webhook-timestamp", "webhook-signature"};
            Map<String, String> headers = new HashMap<>();
            for (int n = 1; n < 4; n++) if (part[n].length > 0) headers.put(names[n], new String(part[n], "UTF-8"));
            List<String> secrets = List.of(new String(part[0], "UTF-8").split(" "));
            long now = Long.parseLong(new String(part[4], "UTF-8"));
            System.out.println(Webhooks.isGenuine(secrets, headers, part[5], now) ? "yes" : "no");
        }
    }
}
"""
PHP_MAIN = """
foreach (file('php://stdin', FILE_IGNORE_NEW_LINES) as $line) {
    [$secrets, $id, $at, $signature, $now, $body] = array_map('base64_decode', explode("\\t", $line));
    $headers = array_filter(['webhook-id' => $id, 'webhook-timestamp' => $at, 'webhook-signature' => $signature]);
    echo is_genuine(explode(' ', $secrets), $headers, $body, (int) $now) ? "yes\\n" : "no\\n";
}
"""


def snippet(language: str, word: str) -> str:
    """Find the one snippet of a language that holds something."""
    found = [text for name, text in FENCE.findall(PAGE) if name == language and word in text]
    assert len(found) == 1, f"{len(found)} snippets in {language} with {word}"
    return str(found[0])


def judged(words: list[str], folder: Path) -> list[bool]:
    """Let a program judge every message."""
    lines = "".join(message.line + "\n" for message in MESSAGES)
    ran = subprocess.run(words, input=lines, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return [answer == "yes" for answer in ran.stdout.split()]


def python(folder: Path) -> list[bool]:
    (folder / "check.py").write_text(snippet("python", "import hmac") + PYTHON_MAIN)
    return judged([sys.executable, "check.py"], folder)


def node(folder: Path) -> list[bool]:
    (folder / "check.js").write_text(snippet("js", "isGenuine") + NODE_MAIN)
    return judged(["node", "check.js"], folder)


def java(folder: Path) -> list[bool]:
    (folder / "Webhooks.java").write_text(snippet("java", "isGenuine"))
    (folder / "Main.java").write_text(JAVA_MAIN)
    compiled = subprocess.run(
        ["javac", "-Xlint:all", "-Werror", "Webhooks.java", "Main.java"], cwd=folder, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert compiled.returncode == 0, compiled.stderr
    return judged(["java", "-Xshare:auto", "Main"], folder)


def php(folder: Path) -> list[bool]:
    (folder / "check.php").write_text(snippet("php", "is_genuine") + PHP_MAIN)
    return judged(["php", "check.php"], folder)


LANGUAGES: dict[str, tuple[str, Callable[[Path], list[bool]]]] = {
    "python": (sys.executable, python), "node": ("node", node), "java": ("javac", java), "php": ("php", php),
}  # fmt: skip
PRESENT = [name for name, (program, _) in LANGUAGES.items() if shutil.which(program)]


@pytest.mark.parametrize("language", PRESENT)
def test_a_snippet_tells_genuine_messages_from_all_others(language: str, tmp_path: Path) -> None:
    found = dict(zip((message.about for message in MESSAGES), LANGUAGES[language][1](tmp_path), strict=True))
    assert found == {message.about: message.genuine for message in MESSAGES}


def test_the_snippet_with_the_public_package_does_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    space: dict[str, Callable[..., bool]] = {}
    exec(snippet("python", "from standardwebhooks"), space)  # it is what a reader copies
    found = {}
    for message in MESSAGES:
        clock = type(
            "Clock",
            (datetime,),
            {"now": classmethod(lambda _cls, tz=None, at=message.now: datetime.fromtimestamp(at, tz))},
        )
        monkeypatch.setattr(standardwebhooks.webhooks, "datetime", clock)
        found[message.about] = space["is_genuine"](message.secrets, message.headers, message.body)
    assert found == {message.about: message.genuine for message in MESSAGES}


def test_every_language_of_the_page_is_one_that_is_run_where_it_is_present(note: Callable[..., None]) -> None:
    languages = {name for name, text in FENCE.findall(PAGE) if "genuine" in text.lower()}
    assert languages == {"python", "js", "java", "php"}
    absent = sorted(set(LANGUAGES) - set(PRESENT))
    note(
        "snippets of docs/subscribers.md: run in "
        + ", ".join(PRESENT)
        + (f"; not here: {', '.join(absent)}" if absent else "")
    )


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """The page's whole receiver as a process of its own."""
    keys = new_secret(), new_secret()
    (tmp_path / "receiver.py").write_text(snippet("python", "import hmac") + snippet("python", "import sqlite3"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "SECRETS": " ".join(keys), "BOOKS": str(tmp_path / "books.db"), "PORT": port}
    process = subprocess.Popen([sys.executable, "receiver.py"], cwd=tmp_path, env=environment)
    yield f"http://127.0.0.1:{port}/", keys
    process.terminate()
    process.wait(20)


async def test_the_whole_receiver_of_the_page_passes_every_grade(receiver: tuple[str, tuple[str, str]]) -> None:
    url, keys = receiver
    until(url)
    pace = Pace(drip_s=0.01, pause_s=0.1)
    certificate = await certify(Plan(url, keys, url, events=60, batches=True, pace=pace), show=lambda _line: None)
    assert certificate.result is Result.PASSED, certificate.text
    assert "their words are gone" in certificate.text


def until(url: str) -> None:
    """Wait until something listens."""
    port, deadline = int(url.rsplit(":", 1)[1].strip("/")), time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the receiver did not start")
