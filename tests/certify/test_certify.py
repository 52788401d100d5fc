"""Certify a good receiver and many bad ones: each fails in the grade of its mistake, and in no other."""

import argparse
import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from aiohttp import web

from fieldsvc.arguments import certify_arguments
from fieldsvc.certify import Certificate, Plan, certify, certify_and_print, read_plan
from fieldsvc.certifying.day import Forgery, Wish, plan_day
from fieldsvc.certifying.events import Mint
from fieldsvc.certifying.grading import Result
from fieldsvc.certifying.sending import Pace
from fieldsvc.errors import UserMistake
from fieldsvc.publishing.signing import new_secret
from fieldsvc.settings import without_settings
from fieldsvc.simulate.signatures import key_of
from fieldsvc.simulate.subscriber import Books, Subscriber
from tests.certify.receivers import MISTAKES, MISTAKES_WITH_BATCHES, IsSlow, Receiver, Server

QUICK = Pace(retries_s=(0.01, 0.02), longest_wait_s=0.05, timeout_s=15.0, drip_s=0.01, pause_s=0.05)
HASTY = replace(QUICK, timeout_s=0.5)
KEYS = new_secret(), new_secret()
SHORT = 60


async def certified(server: Server, *, report: bool = True, **about: Any) -> Certificate:
    plan = Plan(
        server.hook, KEYS, server.told if report else None,
        **{"events": SHORT, "batches": False, "knock_s": 0.5, "report_s": 0.2, "pace": QUICK} | about,
    )  # fmt: skip
    return await certify(plan, show=lambda _line: None)


def failed(certificate: Certificate) -> set[str]:
    return {grade.name for grade in certificate.grades if grade.result is Result.FAILED}


def shown(certificate: Certificate) -> dict[str, Result]:
    return {grade.name: grade.result for grade in certificate.grades}


async def test_a_good_receiver_passes_every_grade_with_batches_too() -> None:
    async with Server(Receiver(*KEYS)) as server:
        certificate = await certified(server, batches=True, report_s=10.0)
    assert certificate.result is Result.PASSED, certificate.text
    assert set(shown(certificate).values()) == {Result.PASSED}
    assert certificate.text.splitlines()[-1].startswith("CERTIFIED")
    assert not any(grade.mend for grade in certificate.grades)


async def test_our_own_subscriber_passes_every_grade_and_sees_no_violation_but_the_forgeries() -> None:
    subscriber = Subscriber(secrets=KEYS, gapless=False, books=Books())
    url = await subscriber.start()
    plan = Plan(url, KEYS, url.replace("/hook", "/report"), events=SHORT, batches=True, pace=QUICK)
    certificate = await certify(plan, show=lambda _line: None)
    await subscriber.close()
    assert certificate.result is Result.PASSED, certificate.text
    assert {sentence.partition(":")[0] for sentence in subscriber.violations} == {"Signature refused"}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
async def test_a_mistake_fails_in_its_own_grade_and_in_no_other(mistake: type[Receiver]) -> None:
    pace = HASTY if mistake is IsSlow else QUICK
    async with Server(mistake(*KEYS)) as server:
        certificate = await certified(server, pace=pace)
    assert failed(certificate) == MISTAKES[mistake], certificate.text
    assert certificate.result is Result.FAILED
    assert all(grade.mend for grade in certificate.grades if grade.result is Result.FAILED)


@pytest.mark.parametrize("mistake", MISTAKES_WITH_BATCHES, ids=lambda mistake: mistake.__name__)
async def test_a_mistake_about_batches_fails_in_its_own_grade(mistake: type[Receiver]) -> None:
    async with Server(mistake(*KEYS)) as server:
        certificate = await certified(server, batches=True)
    assert failed(certificate) == MISTAKES_WITH_BATCHES[mistake], certificate.text


async def test_headers_that_a_gateway_wants_go_with_every_request(tmp_path: Path) -> None:
    class Gateway(Receiver):
        async def answer(self, request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != "Bearer tok-1":
                return web.Response(status=403)
            return await super().answer(request)

    file, parser = tmp_path / "headers", argparse.ArgumentParser()
    file.write_text("Authorization: Bearer tok-1\n\nX-Tenant: north\n")
    certify_arguments(parser)
    asked = read_plan(parser.parse_args(["http://127.0.0.1:9", "--headers-file", str(file)]))
    async with Server(Gateway(*KEYS)) as server:
        certificate = await certified(server, headers=asked.headers, report_s=10.0)
    assert certificate.result is Result.PASSED, certificate.text
    assert "tok-1" not in repr(asked)


async def test_without_a_report_what_cannot_be_seen_is_not_shown_and_never_passed() -> None:
    async with Server(Receiver(*KEYS)) as server:
        certificate = await certified(server, report=False)
    found = shown(certificate)
    assert {name for name, result in found.items() if result is Result.NOT_SHOWN} == {"order", "dedup", "tombstones"}
    assert {name for name, result in found.items() if result is Result.PASSED} == {"signature", "speed", "robustness"}
    assert certificate.result is Result.NOT_SHOWN


async def test_a_receiver_that_works_after_its_answer_is_given_time() -> None:
    class Later(Receiver):
        def apply(self, event: dict[str, Any]) -> None:
            self.seen.add(event["id"])
            asyncio.get_running_loop().call_later(0.5, super().apply, event)

    async with Server(Later(*KEYS)) as server:
        certificate = await certified(server, report_s=10.0)
    assert certificate.result is Result.PASSED, certificate.text


async def test_a_receiver_that_asks_for_patience_under_load_passes_and_it_is_told() -> None:
    class Busy(Receiver):
        turn = 0

        async def answer(self, request: web.Request) -> web.Response:
            self.turn += 1
            if self.turn % 7 == 0:
                return web.Response(status=503, headers={"Retry-After": "0.01"})
            return await super().answer(request)

    async with Server(Busy(*KEYS)) as server:
        certificate = await certified(server, report_s=10.0, pace=replace(QUICK, retries_s=(0.01,) * 6))
    assert certificate.result is Result.PASSED, certificate.text
    assert any("got a 5xx before they were taken" in note for note in certificate.notes)


async def test_a_receiver_that_refuses_what_it_does_not_know_passes_and_is_told_of_dead_letters() -> None:
    class Strict(Receiver):
        def is_known(self, event: dict[str, Any]) -> bool:
            if "unheard_of" in event["type"]:
                raise web.HTTPUnprocessableEntity
            return super().is_known(event)

    async with Server(Strict(*KEYS)) as server:
        certificate = await certified(server, report_s=10.0)
    assert certificate.result is Result.PASSED, certificate.text
    assert certificate.notes == ("Refused, and would end as dead letters: an unknown type.",)


async def test_a_receiver_that_holds_nothing_passes_by_its_own_word_and_that_is_said() -> None:
    class Silent(Receiver):
        def report(self) -> Any:
            return {"applied": [{"id": each} for each in self.applied], "erased": self.erased, "more": 1}

    async with Server(Silent(*KEYS)) as server:
        certificate = await certified(server, report_s=10.0)
    assert certificate.result is Result.PASSED
    assert any("by its own word" in grade.says for grade in certificate.grades)


async def test_a_second_day_at_the_same_receiver_has_other_names_and_passes_again() -> None:
    async with Server(Receiver(*KEYS)) as server:
        first, second = await certified(server, report_s=10.0), await certified(server, report_s=10.0)
    assert first.result is second.result is Result.PASSED, second.text
    assert first.run != second.run


@pytest.mark.parametrize("told", [b"{}", b"[]", b'{"applied":[{"event":1}]}', b"no"])
async def test_a_report_that_is_none_is_the_users_mistake_before_anything_is_sent(told: bytes) -> None:
    class Wrong(Server):
        async def _report(self, request: web.Request) -> web.Response:
            return web.Response(body=told, content_type="application/json")

    receiver = Receiver(*KEYS)
    async with Wrong(receiver) as server:
        with pytest.raises(UserMistake, match=r"The report is not as docs/subscribers\.md says"):
            await certified(server)
    assert receiver.applied == []


def test_the_same_seed_makes_the_same_plan_and_another_one_another() -> None:
    def planned(seed: int, run: str = "aa") -> list[tuple[str, bytes]]:
        day = plan_day(Mint(seed, run, datetime(2026, 11, 21, tzinfo=UTC)), events=SHORT, batches=True)
        return [(step.about, step.body) for phase in day.phases for step in phase.steps]

    assert planned(1) == planned(1)
    assert planned(1) != planned(2)
    assert [about for about, _ in planned(1)] == [about for about, _ in planned(1, "bb")]
    assert not {body for _, body in planned(1)} & {body for _, body in planned(1, "bb")}


def test_the_day_holds_everything_that_it_promises() -> None:
    day = plan_day(Mint(1, "aa", datetime.now(UTC)), events=SHORT, batches=True)
    steps = [step for phase in day.phases for step in phase.steps]
    events = [orjson.loads(event.body) for step in steps for event in step.events if step.wish is Wish.TAKE]
    assert {step.forgery for step in steps} == set(Forgery)
    assert {step.off_s for step in steps} == {0, -360, 360, -3600}
    assert any(event["time"] < event["recordedtime"] for event in events)
    assert any("supersedes" in event for event in events)
    assert any(event["data"].get("erased") for event in events)
    assert any(event["type"] == "fieldsvc.person.erased.v1" for event in events)
    assert max(len(step.body) for step in steps) == 256 * 1024
    assert all(len(step.body) < 256 * 1024 for step in steps if step.is_batch)
    for subject in {event["subject"] for event in events}:
        own = [event["sequence"] for event in events if event["subject"] == subject]
        firsts = list(dict.fromkeys(own))
        assert firsts == sorted(firsts), subject


def test_typed_mistakes_are_one_plain_sentence(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    certify_arguments(parser)
    one = tmp_path / "one"
    one.write_text(KEYS[0])
    for words, sentence in (
        (["127.0.0.1:9000"], "The receiver is an address"),
        (["http://127.0.0.1", "--report", "x"], "--report is an address"),
        (["http://127.0.0.1", "--events", "1"], "--events is a number"),
        (["http://127.0.0.1", "--minutes", "nan"], "--minutes is a number"),
        (["http://127.0.0.1", "--secret-file", "/nowhere"], "There is no file"),
        (["http://127.0.0.1", "--secret-file", str(one)], "holds two different keys"),
        (["http://127.0.0.1", "--headers-file", "/nowhere"], "There is no file"),
        (["http://127.0.0.1", "--headers-file", str(one)], "holds headers, one a line"),
    ):
        with pytest.raises(UserMistake, match=sentence):
            read_plan(parser.parse_args(words))


async def told(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    keys = tmp_path / "keys"
    keys.write_text("\n".join(KEYS))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fieldsvc", "certify", *words, "--secret-file", str(keys), "--minutes", "0", "--events",
        str(SHORT), "--wait", "5", env={**without_settings(), "FIELDSVC_VAR_DIR": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def test_the_command_prints_a_certificate_and_its_exit_status_says_how_it_came_out(tmp_path: Path) -> None:
    async with Server(Receiver(*KEYS)) as server:
        status, out, errors = await told(tmp_path, server.hook, "--report", server.told, "--json")
        assert (status, errors) == (0, "")
        found = json.loads(out)
        assert {grade["result"] for grade in found["grades"]} == {"passed"}
        assert found["ms"]["p99"] > 0
        assert KEYS[0] not in out


async def test_what_is_not_shown_and_what_failed_have_exit_statuses_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldsvc.certify.Pace", lambda **about: replace(QUICK, **about))
    parser, keys = argparse.ArgumentParser(), tmp_path / "keys"
    certify_arguments(parser)
    keys.write_text("\n".join(KEYS))
    words = ["--secret-file", str(keys), "--minutes", "0", "--events", str(SHORT), "--wait", "0"]
    async with Server(Receiver(*KEYS)) as server:
        assert await certify_and_print(parser.parse_args([server.hook, *words])) == 3
    assert capsys.readouterr().out.count("NOT SHOWN") == 4
    assert await certify_and_print(parser.parse_args([server.hook, *words])) == 1
    assert "NOT CERTIFIED" in capsys.readouterr().out


async def test_keys_that_it_makes_are_printed_first_and_it_waits_until_the_receiver_has_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldsvc.certify.Pace", lambda **about: replace(QUICK, **about))
    parser, receiver = argparse.ArgumentParser(), Receiver()
    certify_arguments(parser)
    async with Server(receiver) as server:
        words = [server.hook, "--minutes", "0", "--events", str(SHORT)]
        working = asyncio.create_task(certify_and_print(parser.parse_args(words)))
        printed = ""
        while "whsec_" not in printed:
            await asyncio.sleep(0.01)
            printed += capsys.readouterr().err
        receiver.keys = [key_of(word) for word in printed.split() if word.startswith("whsec_")]
        assert len(receiver.keys) == 2
        assert await working == 3


def test_the_reports_schema_takes_a_report_and_refuses_another() -> None:
    from fieldsvc.certifying.report import Report

    schema = Report.model_json_schema()
    jsonschema.validate({"applied": [{"id": "evt_1"}], "erased": ["ref-77"]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"applied": ["evt_1"]}, schema)
