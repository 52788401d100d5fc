"""`/v1/delivery-changes`: what a customer may do with what they know, what staff and carriers may, and what comes of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from fieldsvc.store.run import read
from handlers.story import Actor
from tests.requests.conftest import CHANGES, ITEM, Counter
from tests.work.conftest import TODAY

NEIGHBOUR: dict[str, Any] = {"neighbour": "Mme Durand, 3e", "contact": {"email": "a@example.org"}}


async def test_a_customer_asks_with_what_they_know_and_comes_back_with_the_token(counter: Counter) -> None:
    status, made = await counter.ask(counter.about_item("neighbour", **NEIGHBOUR))
    assert (status, made["state"], made["kind"]) == (201, "on_sheet", "neighbour")
    assert made["words"]["en"] == "Request sent, not seen yet"
    assert made["cutoff"] == {"until": "near", "stops": 5}
    path, own = counter.own(made)
    status, found = await counter.call("GET", path, **own)
    assert (status, found["state"], found["details"]["neighbour"]) == (200, "on_sheet", "Mme Durand, 3e")
    assert [step["state"] for step in found["history"]] == ["requested", "verified", "accepted", "on_sheet"]
    assert await counter.published(f"item/{ITEM}") == ["requested", "verified", "accepted", "on_sheet"]
    assert (await counter.call("POST", f"{path}/cancel", {}, **own))[1]["state"] == "cancelled"
    assert (await counter.call("POST", f"{path}/cancel", {}, **own))[1]["state"] == "cancelled"


async def test_whoever_does_not_know_the_item_learns_nothing(counter: Counter) -> None:
    wrong = [
        {**counter.about_item("neighbour", **NEIGHBOUR), "item_id": "LL000000000FR"},
        {**counter.about_item("neighbour", **NEIGHBOUR, postcode="00000")},
        {
            "kind": "hold",
            "delivery_point_id": counter.point,
            "to": "2030-01-01",
            "details": {"postcode": counter.postcode},
        },
    ]
    answers = [await counter.ask(body) for body in wrong]
    assert {status for status, _ in answers} == {404}
    assert len({orjson.dumps(answer) for _, answer in answers}) == 1
    _, made = await counter.ask(counter.about_item("neighbour", **NEIGHBOUR))
    path, own = counter.own(made)
    for headers in ({}, {"Request_Token": own["Request_Token"][:-1]}):
        for method, what in (("GET", ""), ("POST", "/cancel"), ("POST", "/stop")):
            assert (await counter.call(method, path + what, {}, **headers))[0] == 404


async def test_guessing_ends_after_ten_wrong_tries_and_looks_the_same_for_every_item(counter: Counter) -> None:
    for item in (ITEM, "LL000000000FR"):
        for _ in range(11):
            body = {**counter.about_item("neighbour", **NEIGHBOUR, postcode="00000"), "item_id": item}
            status, answer = await counter.ask(body)
        assert (status, answer["code"]) == (429, "too_many_requests")
    assert (await counter.ask(counter.about_item("neighbour", **NEIGHBOUR)))[0] == 429


async def test_a_body_that_is_wrong_is_named_by_its_members_and_never_quoted(counter: Counter) -> None:
    good = counter.about_item("neighbour", **NEIGHBOUR)
    wrong: list[Any] = [
        {**good, "kind": "teleport"}, {**good, "surprise": 1}, {**good, "delivery_point_id": "dp"}, {**good, "from": "CANARI"},
        {**good, "asked_by": "counter"}, {**good, "identity": "counter"}, counter.about_item("neighbour"),
        counter.about_item("hold", **{"from": "2030-02-01", "to": "2030-01-01"}),
        counter.about_item("neighbour", neighbour="x" * 300), {**good, "details": {**good["details"], "CANARI": 1}},
    ]  # fmt: skip
    for body in wrong:
        status, answer = await counter.ask(body)
        assert (status, answer["code"]) == (422, "bad_change")
        assert "CANARI" not in answer["detail"] or "details" in answer["detail"]
    assert (await counter.call("POST", CHANGES, [1]))[0] == 400


async def test_the_same_key_asks_once_and_gets_the_same_answer(counter: Counter) -> None:
    body = counter.about_item("neighbour", **NEIGHBOUR)
    first = await counter.ask(body, Idempotency_Key="k1")
    assert await counter.ask(body, Idempotency_Key="k1") == first
    assert (await counter.ask(counter.about_item("hold", to=str(TODAY)), Idempotency_Key="k1"))[0] == 422
    assert await counter.office.value("select count(*) from request") == 1
    kept = await counter.office.value("select answer from idempotency where key = 'k1' and status = 201")
    assert first[1]["request_id"].encode() in kept
    assert b"token" not in kept
    assert counter.codes.is_own(first[1]["request_id"], first[1]["token"])


async def test_a_second_wish_for_the_item_is_refused_with_the_reference_of_the_first(counter: Counter) -> None:
    _, first = await counter.ask(counter.about_item("neighbour", **NEIGHBOUR))
    status, answer = await counter.ask(counter.about_item("safe_place", place="Abri"))
    assert (status, answer["code"], answer["reason"]) == (409, "refused", "conflict")
    assert answer["conflicts_with"] == first["request_id"]
    assert (await counter.call("GET", f"{CHANGES}/{answer['request_id']}", Request_Token=answer["token"]))[1][
        "state"
    ] == "refused"
    assert (await counter.ask(counter.about_item("proxy", proxy="M. Leroy")))[
        0
    ] == 201  # who may receive is no contradiction


async def test_a_product_rule_refuses_and_is_named(counter: Counter) -> None:
    await counter.order("RK123456785FR", requirements=["registered"])
    body = {**counter.about_item("neighbour", **NEIGHBOUR), "item_id": "RK123456785FR"}
    status, answer = await counter.ask(body)
    assert (status, answer["code"], answer["reason"]) == (409, "refused", "registered_only_to_addressee")
    assert "mandataire" in answer["words"]["fr"]
    await counter.office.commands.send(
        "task.planned",
        {
            "task_id": "tsk_p",
            "service": "medication",
            "subject": "pouch/P-1",
            "on": str(TODAY),
            "delivery_point": counter.point,
        },
        actor=Actor("operator"),
        handler="medication",
    )
    adviser = await counter.person("adviser")
    body = {"kind": "safe_place", "item_id": "P-1", "details": {"place": "Abri"}}
    answer = (await counter.ask(body, **adviser))[1]
    assert (answer["code"], answer["reason"]) == ("refused", "pouch_never_left")


async def test_what_must_stay_behind_may_be_asked_until_it_is_taken_out(counter: Counter) -> None:
    await counter.office.commands.send("item.loaded", {"item_id": ITEM}, actor=Actor("operator"))
    status, answer = await counter.ask(counter.about_item("hold", to=str(TODAY)))
    assert (status, answer["code"], answer["reason"]) == (409, "too_late", "already_loaded")
    assert answer["cutoff"] == {"until": "loaded"}
    assert (await counter.ask(counter.about_item("neighbour", **NEIGHBOUR)))[0] == 201


async def test_a_load_that_arrives_late_but_came_first_makes_it_too_late_and_takes_back_what_was_said(
    counter: Counter,
) -> None:
    _, made = await counter.ask(counter.about_item("hold", to=str(TODAY)))
    assert made["state"] == "on_sheet"
    early = datetime.now(UTC) - timedelta(hours=1)
    await counter.office.commands.send("item.loaded", {"item_id": ITEM}, actor=Actor("operator"), occurred_at=early)
    await counter.fire()
    assert await counter.state(made["request_id"]) == ("too_late", "already_loaded", None)
    rows = await counter.office.fetch(
        "select type, public from event where kind = 'public' and subject = $1 and type in ('event.corrected', $2)",
        f"item/{ITEM}", "delivery_change.too_late",
    )  # fmt: skip
    withdrawn = [orjson.loads(row["public"]) for row in rows if row["type"] == "event.corrected"]
    assert len(withdrawn) == 2  # accepted and on_sheet
    assert all("supersedes" in each for each in withdrawn)


async def test_at_the_door_it_counts_how_far_the_carrier_is(counter: Counter) -> None:
    run = await counter.run()
    known = await counter.office.rounds.known_round(counter.round_id)
    assert known is not None
    stops = known.stored.round.stop_distances_m
    place = next(n for n, stop in enumerate(known.stored.round.stops) if stop.delivery_point_id == counter.point)
    await counter.office.commands.send("run.started", {"run_id": run.run_id}, actor=Actor("operator"), run=run.run_id)
    async with counter.office.database.acquire() as connection:
        await connection.execute(
            "insert into run_state (run, day, through_at, distance_along_m, status, matcher, updated_at) "
            "values ($1, $2, now(), $3, 'on_round', '', now())",
            run.run_id, run.day, float(stops[max(0, place - 3)]),
        )  # fmt: skip
    status, answer = await counter.ask(counter.about_item("neighbour", **NEIGHBOUR))
    assert (status, answer["code"], answer["reason"]) == (409, "too_late", "carrier_is_near")
    assert answer["cutoff"] == {"until": "near", "stops": 5}
    assert (await counter.ask(counter.about_item("hold", to=str(TODAY))))[0] == 201  # not taken out yet


async def test_the_sheet_shows_it_and_only_a_phone_that_has_it_makes_it_seen(counter: Counter) -> None:
    run = await counter.run()
    _, made = await counter.ask(counter.about_item("neighbour", **NEIGHBOUR))
    newer = await read(counter.office.database, run.run_id)
    assert newer is not None
    assert newer.sheet_version > run.sheet_version
    (entry,) = (await counter.office.sheets.sheet(newer))["requests"]
    assert entry["what"]["en"] == "If nobody is there, hand to the neighbour: Mme Durand, 3e."
    assert entry["stop_id"]
    seen = {"run_id": run.run_id, "version": run.sheet_version}
    await counter.office.commands.send("sheet.seen", seen, actor=Actor("device"))
    await counter.fire()
    assert (await counter.state(made["request_id"]))[0] == "on_sheet"
    await counter.office.commands.send("sheet.seen", {**seen, "version": newer.sheet_version}, actor=Actor("device"))
    await counter.fire()
    assert (await counter.state(made["request_id"]))[0] == "seen_by_carrier"
    path, own = counter.own(made)
    assert (await counter.call("POST", f"{path}/cancel", {}, **own))[1]["code"] == "seen_by_carrier"
    done = {"item_id": ITEM, "to": "neighbour"}
    await counter.office.commands.send("item.delivered", done, actor=Actor("device"), run=run.run_id)
    await counter.fire()
    assert (await counter.state(made["request_id"]))[0] == "applied"
    assert (await counter.office.sheets.sheet(newer))["requests"] == []


async def test_unseen_at_the_stop_it_is_too_late_by_itself_and_says_what_happened_instead(counter: Counter) -> None:
    _, made = await counter.ask(counter.about_item("neighbour", **NEIGHBOUR))
    await counter.office.commands.send("item.delivered", {"item_id": ITEM, "to": "mailbox"}, actor=Actor("device"))
    await counter.fire()
    assert await counter.state(made["request_id"]) == ("too_late", "unseen", "delivered:mailbox")
    path, own = counter.own(made)
    assert (await counter.call("GET", path, **own))[1]["instead"] == "delivered:mailbox"


async def test_another_date_moves_the_work_and_a_second_presentation_plans_it_anew(counter: Counter) -> None:
    later = str(TODAY + timedelta(days=3))
    _, made = await counter.ask(counter.about_item("other_date", **{"from": later}))
    await counter.requests.work(datetime.now(UTC))
    await counter.requests.work(datetime.now(UTC))
    assert (await counter.state(made["request_id"]))[0] == "applied"
    assert str(await counter.office.value("select day from task where subject = $1", f"item/{ITEM}")) == later
    await counter.order("LL000000001FR")
    missed = {"item_id": "LL000000001FR", "reason": "absent", "next": "represent"}
    await counter.office.commands.send("item.delivery_attempted", missed, actor=Actor("device"))
    body = {**counter.about_item("second_presentation", **{"from": later}), "item_id": "LL000000001FR"}
    _, again = await counter.ask(body)
    await counter.requests.work(datetime.now(UTC))
    await counter.requests.work(datetime.now(UTC))
    days = await counter.office.fetch("select day, state from task where subject = 'item/LL000000001FR' order by day")
    assert [(str(row["day"]), row["state"]) for row in days] == [(str(TODAY), "done"), (later, "planned")]
    assert again["state"] == "accepted"  # no sheet has it yet, so no phone was asked


async def test_an_item_that_was_moved_to_another_day_is_still_named_on_the_sheet_of_the_day_that_it_left(
    counter: Counter,
) -> None:
    run = await counter.run()
    _, made = await counter.ask(counter.about_item("other_date", **{"from": str(TODAY + timedelta(days=1))}))
    before = await counter.sheet(run)
    (asked,) = before["requests"]
    await counter.requests.work(datetime.now(UTC))
    assert (await counter.state(made["request_id"]))[0] == "applied"
    sheet = await counter.sheet(run)
    assert not any(task["subject"] == f"item/{ITEM}" for stop in sheet["stops"] for task in stop["tasks"])
    assert sheet["requests"] == [{**asked, "state": "applied"}]
    assert asked["subject"] == f"item/{ITEM}"
    assert asked["what"]["fr"] == "Ne pas présenter aujourd'hui : à rapporter."
    assert asked["stop_id"] is not None
    assert sheet["version"] > before["version"]
    await counter.office.runs.plan_day(TODAY + timedelta(days=1))
    following = await read(counter.office.database, f"run-{TODAY + timedelta(days=1)}-{counter.round_id}")
    assert following is not None
    assert (await counter.sheet(following))["requests"] == []
    await counter.order(on=str(TODAY))
    again = await counter.sheet(run)
    assert again["requests"] == []
    assert again["version"] > sheet["version"]


async def test_an_item_that_the_office_holds_or_a_pickup_point_has_is_still_named_that_day(counter: Counter) -> None:
    run, other = await counter.run(), "LL000000002FR"
    await counter.order(other)
    asked = [
        await counter.ask(counter.about_item("hold", to=str(TODAY))),
        await counter.ask({**counter.about_item("pickup_point", pickup_point="Tabac"), "item_id": other}),
    ]
    assert [status for status, _ in asked] == [201, 201]
    before = await counter.sheet(run)
    for item in (ITEM, other):
        await counter.office.commands.send("item.held", {"item_id": item, "office": "Bondy"}, actor=Actor("operator"))
    await counter.fire()
    sheet = await counter.sheet(run)
    told = {each["subject"]: (each["kind"], each["state"]) for each in sheet["requests"]}
    assert told == {f"item/{ITEM}": ("hold", "applied"), f"item/{other}": ("pickup_point", "applied")}
    assert sheet["version"] > before["version"]
    missed = {"item_id": other, "reason": "absent", "next": "represent"}
    await counter.office.commands.send("item.delivery_attempted", missed, actor=Actor("device"))
    later = {**counter.about_item("second_presentation", **{"from": str(TODAY + timedelta(days=1))}), "item_id": other}
    assert (await counter.ask(later))[0] == 201
    await counter.requests.work(datetime.now(UTC))
    await counter.office.runs.plan_day(TODAY + timedelta(days=1))
    following = await read(counter.office.database, f"run-{TODAY + timedelta(days=1)}-{counter.round_id}")
    assert following is not None
    assert [each["kind"] for each in (await counter.sheet(following))["requests"]] == ["second_presentation"]


async def test_the_carrier_asks_at_the_door_and_staff_see_only_their_own_site(counter: Counter) -> None:
    _, device = await counter.office.device("Camille", site=counter.site, round_id=counter.round_id)
    _, elsewhere = await counter.office.device("Alex", site=counter.office.town.rounds[-1].site)
    body = {"kind": "second_presentation", "item_id": ITEM, "from": str(TODAY), "details": {}}
    status, made = await counter.ask(body, **device)
    assert (status, made["state"], made["asked_by"]) == (201, "seen_by_carrier", "carrier")
    path = f"{CHANGES}/{made['request_id']}"
    assert (await counter.call("GET", path, **device))[0] == 200
    if counter.office.town.rounds[-1].site != counter.site:
        assert (await counter.call("GET", path, **elsewhere))[0] == 404
    supervisor = await counter.person("supervisor")
    status, found = await counter.call("GET", path, **supervisor)
    assert (status, "details" in found) == (200, False)
    assert (await counter.call("GET", path, **await counter.person("address_quality")))[0] == 404
    assert (await counter.ask(counter.about_item("neighbour", **NEIGHBOUR), Authorization="Bearer x"))[0] == 401


async def test_nothing_personal_of_a_request_is_in_the_database_in_clear(counter: Counter) -> None:
    details = {"neighbour": "CANARI", "contact": {"email": "canari@example.org"}}
    status, made = await counter.ask(counter.about_item("neighbour", **details))
    assert (status, await counter.office.value("select id from request")) == (201, made["request_id"])
    async with counter.office.database.acquire() as connection:
        names = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        for row in names:
            found = await connection.fetch(f"select {row['tablename']}::text as line from {row['tablename']}")
            for word in ("CANARI", "canari"):
                assert not any(word in line["line"] or word.encode().hex() in line["line"] for line in found)
