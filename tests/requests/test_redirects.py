"""A redirection over HTTP: seen at the counter, a letter to the old address, its code, the wait, the stop link, the way back."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fieldsvc.notices.templates import render
from fieldsvc.requests.asker import Asker
from fieldsvc.store.request import forget_before, keep_contact
from fieldsvc.web.delivery_changes import DESK
from handlers import products
from handlers.story import Actor
from tests.requests.conftest import CHANGES, Counter
from tests.work.conftest import BASE, TODAY

MOVE: dict[str, Any] = {
    "kind": "redirect_permanent",
    "from": str(TODAY + timedelta(days=10)),
    "details": {"new_address": "2 rue B, 69001 Lyon", "names": ["Mme Martin"], "contact": {"email": "new@example.org"}},
}


async def letter_of(counter: Counter, request_id: str) -> dict[str, Any]:
    """Open the letter that was queued for a request."""
    (row,) = await counter.office.fetch(
        "select sealed from notice where key = $1", f"delivery_change_code {request_id}"
    )
    (opened,) = await counter.office.opener.open_blobs([row["sealed"]])
    return dict(opened)


async def test_a_mover_is_seen_gets_a_letter_gives_its_code_and_waits(counter: Counter) -> None:
    staff = await counter.person("counter")
    body = {**MOVE, "delivery_point_id": counter.point, "identity": "counter", "asked_by": "counter"}
    status, made = await counter.ask(body, **staff)
    assert (status, made["state"], made["needs"]) == (201, "requested", "code")
    path = f"{CHANGES}/{made['request_id']}"
    assert (await counter.call("POST", f"{path}/confirm", {"code": "AAA-AAA-AAA"}, **staff))[1]["code"] == "not_waiting"
    for _ in range(2):
        await counter.requests.work(datetime.now(UTC))
    letter = await letter_of(counter, made["request_id"])
    assert letter["to"] == {"delivery_point_id": counter.point, "addressee": "Mme Martin"}
    text = render("delivery_change_code", "fr", letter["params"]).text
    assert letter["params"]["code"] in text
    _, stop_token = letter["params"]["stop_url"].rsplit("/", 1)
    run = await counter.run()
    (entry,) = (await counter.office.sheets.sheet(run))["requests"]
    assert "Mme Martin" in entry["what"]["fr"]
    assert "Lyon" not in str(entry)
    assert "confirms" in entry["ask"]["answers"]
    own = {"Request_Token": made["token"]}
    status, wrong = await counter.call("POST", f"{path}/confirm", {"code": "AAA-AAA-AAA"}, **own)
    assert (status, wrong["code"], wrong["tries_left"]) == (409, "wrong_code", 4)
    code = letter["params"]["code"].lower().replace("-", " ")
    status, done = await counter.call("POST", f"{path}/confirm", {"code": code}, **own)
    assert (status, done["state"]) == (200, "verified")
    verified = next(step["at"] for step in done["history"] if step["state"] == "verified")
    earliest = products.after_working_days(datetime.fromisoformat(verified), 5)
    assert datetime.fromisoformat(done["earliest_at"]) == earliest
    for _ in range(2):  # a second time changes nothing
        status, stopped = await counter.call("POST", f"{path}/stop", {"token": stop_token})
        assert (status, stopped["state"]) == (200, "frozen")
    assert (await counter.call("GET", path, Request_Token=stop_token))[0] == 404  # it only stops
    alerts = await counter.office.fetch("select type from alert where settled_at is null")
    assert [row["type"] for row in alerts] == ["delivery_change.frozen"]
    status, back = await counter.call("POST", f"{path}/cancel", {"reason": "fraud"}, **staff)
    assert (status, back["state"]) == (200, "reversed")


async def test_a_customer_alone_gets_no_further_than_a_wish_whatever_they_send(counter: Counter) -> None:
    body = {**counter.about_item("redirect_permanent", **MOVE["details"]), "from": MOVE["from"]}
    status, made = await counter.ask(body)
    assert (status, made["state"], made["needs"]) == (201, "requested", "identity")
    assert made["subject"] == f"delivery_point/{counter.point}"
    path, own = counter.own(made)
    assert (await counter.call("POST", f"{path}/confirm", {"identity": "counter"}, **own))[0] == 403
    assert (await counter.call("POST", f"{path}/confirm", {"answer": "confirms"}, **own))[0] == 403
    supervisor = await counter.person("supervisor")
    assert (await counter.call("POST", f"{path}/confirm", {"identity": "counter"}, **supervisor))[0] == 403
    await counter.requests.work(datetime.now(UTC))
    assert await counter.office.value("select count(*) from notice") == 0
    assert "risk" not in str(made)


async def test_codes_are_tried_five_times_from_however_many_places(counter: Counter) -> None:
    staff = await counter.person("counter")
    _, made = await counter.ask({**MOVE, "delivery_point_id": counter.point, "identity": "counter"}, **staff)
    await counter.requests.work(datetime.now(UTC))
    path, own = counter.own(made)
    told = [await counter.call("POST", f"{path}/confirm", {"code": f"AAA-AAA-AA{n}"}, **own) for n in range(2, 9)]
    assert [answer.get("tries_left") for _, answer in told[:5]] == [4, 3, 2, 1, 0]
    assert {answer["code"] for _, answer in told[5:]} <= {"request_closed", "too_many_requests"}
    assert (await counter.state(made["request_id"]))[:2] == ("expired", "too_many_tries")


async def test_what_holds_is_on_the_sheet_keeps_the_contact_and_is_reversed_with_what_was_diverted(
    counter: Counter,
) -> None:
    """Time goes by as the journal sees it: the steps happened ten days ago, and what was due fires now."""
    then, commands = datetime.now(UTC) - timedelta(days=12), counter.office.commands
    about = {"request_id": "DC-OLD", "delivery_point_id": counter.point}
    asked = {**about, "kind": "redirect_permanent", "identity": "counter", "details": MOVE["details"]}
    steps = [
        ("requested", asked),
        ("code_sent", {**about, "code_hmac": "x"}),
        ("verified", {**about, "code_hmac": "x"}),
    ]
    for minute, (name, data) in enumerate(steps):
        actor = Actor("server" if name == "code_sent" else "counter")
        at = then + timedelta(minutes=minute)
        await commands.send(f"delivery_change.{name}", data, actor=actor, occurred_at=at)
    await counter.fire()
    assert (await counter.state("DC-OLD"))[0] == "applied"
    run = await counter.run()
    (entry,) = (await counter.office.sheets.sheet(run))["requests"]
    assert entry["kind"] == "redirect_permanent"
    assert entry["signed_items_held_until"]
    assert "Lyon" not in str(entry)
    rival = {**counter.about_item("neighbour", neighbour="Mme Durand")}
    assert (await counter.ask(rival))[1]["conflicts_with"] == "DC-OLD"
    await counter.office.fetch("update request set state_at = now()")  # as if it had begun today
    await counter.requests.work(datetime.now(UTC))
    assert await counter.office.value("select count(*) from contact") == 1
    supervisor = await counter.person("supervisor")
    status, back = await counter.call("POST", f"{CHANGES}/DC-OLD/cancel", {"reason": "fraud"}, **supervisor)
    assert (status, back["state"]) == (200, "reversed")
    assert [each["item_id"] for each in back["diverted"]] == ["LL456789015FR"]
    _, device = await counter.office.device("Dominique", site=counter.site)
    assert (await counter.call("POST", f"{CHANGES}/DC-OLD/confirm", {"answer": "no"}, **device))[0] == 200
    await forget_before(counter.office.database, datetime.now(UTC) + timedelta(days=1))
    assert await counter.office.value("select count(*) from request") == 0
    assert await counter.office.value("select count(*) from contact") == 1  # in force


async def test_a_no_at_the_door_freezes_it(counter: Counter) -> None:
    staff = await counter.person("counter")
    _, made = await counter.ask({**MOVE, "delivery_point_id": counter.point, "identity": "counter"}, **staff)
    await counter.requests.work(datetime.now(UTC))
    _, device = await counter.office.device("Camille", site=counter.site, round_id=counter.round_id)
    path = f"{CHANGES}/{made['request_id']}"
    assert (await counter.call("POST", f"{path}/confirm", {"answer": "no"}, **device))[1]["state"] == "frozen"
    assert await counter.published(f"delivery_point/{counter.point}") == [
        "requested",
        "code_sent",
        "frozen",
        "door_checked",
    ]


async def test_attack_contact_changed_first_the_one_before_is_warned_as_well(counter: Counter) -> None:
    """A thief who takes over the mail or the telephone first is not alone in being told."""
    now, database = datetime.now(UTC), counter.office.database
    for name, days in (("victim@example.org", 400), ("thief@example.org", 2)):
        at = now - timedelta(days=days)
        sealed = await counter.requests._sealed(f"delivery_point/{counter.point}", {"email": name, "lang": "fr"}, at)
        await keep_contact(database, counter.point, counter.codes.contact(name), sealed=sealed, verified_at=at)
    staff = await counter.person("counter")
    _, made = await counter.ask({**MOVE, "delivery_point_id": counter.point, "identity": "counter"}, **staff)
    rows = await counter.office.fetch("select sealed from notice where template = 'delivery_change_warning'")
    told = await counter.office.opener.open_blobs([row["sealed"] for row in rows])
    assert {each["to"] for each in told} == {"victim@example.org", "thief@example.org"}
    stop = told[0]["params"]["stop_url"].removeprefix(BASE)
    reference, token = stop.removeprefix("/suivi/stop/").split("/")
    assert (reference, token) == (made["request_id"], counter.codes.stop_token(reference))
    reasons = await counter.office.value("select risk_reasons from request where id = $1", reference)
    assert "contact_changed" in reasons


async def test_attack_unfreeze_by_support_nobody_of_the_staff_sets_a_frozen_one_going(counter: Counter) -> None:
    staff = await counter.person("counter")
    _, made = await counter.ask({**MOVE, "delivery_point_id": counter.point, "identity": "counter"}, **staff)
    await counter.requests.work(datetime.now(UTC))
    code = (await letter_of(counter, made["request_id"]))["params"]["code"]
    path, own = counter.own(made)
    token = counter.codes.stop_token(made["request_id"])
    assert (await counter.call("POST", f"{path}/stop", {"token": token}))[1]["state"] == "frozen"
    for role in ("counter", "adviser"):
        who = await counter.person(role)
        assert (await counter.call("POST", f"{path}/confirm", {"identity": "counter"}, **who))[0] == 409
        assert (await counter.call("POST", f"{path}/confirm", {"code": code}, **who))[0] == 409
    assert (await counter.call("POST", f"{path}/confirm", {"code": code}, **own))[0] == 409
    await counter.fire()
    assert (await counter.state(made["request_id"]))[0] == "frozen"


async def test_attack_sim_swap_the_number_alone_brings_neither_the_code_nor_the_way_to_the_request(
    counter: Counter,
) -> None:
    """Who takes over a telephone number reads every notice, and answers calls: without the letter or the door nothing holds."""
    number, now, database = "+33612345678", datetime.now(UTC), counter.office.database
    sealed = await counter.requests._sealed(f"delivery_point/{counter.point}", {"mobile": number, "lang": "fr"}, now)
    await keep_contact(
        database, counter.point, counter.codes.contact(number), sealed=sealed, verified_at=now - timedelta(days=400)
    )
    details = {**MOVE["details"], "contact": {"mobile": number}}
    status, made = await counter.ask({**counter.about_item("redirect_permanent", **details), "from": MOVE["from"]})
    assert (status, made["needs"]) == (201, "identity")
    path, own = counter.own(made)
    adviser = await counter.person("adviser")  # calls the known number back, and the thief answers
    assert (await counter.call("POST", f"{path}/confirm", {"identity": "account"}, **adviser))[1]["needs"] == "identity"
    assert (await counter.call("POST", f"{path}/confirm", {"identity": "substantial"}, **adviser))[1]["needs"] == "code"
    await counter.requests.work(now)
    code = (await letter_of(counter, made["request_id"]))["params"]["code"]
    mine = f"/suivi/demandes/{made['request_id']}/{made['token']}"
    form = {"do": "message", "message": "It is me, call my number"}
    assert (await counter.client.post(mine, data=form, allow_redirects=False)).status == 303
    desk = counter.client.server.app[DESK]
    await desk.messages.write(made["request_id"], "We wait for the code", Asker("adviser", "office", account="acc-1"))
    rows = await counter.office.fetch("select template, lang, sealed from notice where way = 'mobile'")
    told = await counter.office.opener.open_blobs([row["sealed"] for row in rows])
    assert {row["template"] for row in rows} == {"delivery_change_warning", "delivery_change_answer"}
    for row, each in zip(rows, told, strict=True):
        read = render(row["template"], row["lang"], each["params"]).short
        assert counter.codes.stop_token(made["request_id"]) in read  # all that it can do is stop
        assert made["token"] not in read
        assert not {code, code.replace("-", "")} & set(read.split())
    for guess in (made["request_id"], number, "000000000"):
        assert (await counter.call("POST", f"{path}/confirm", {"code": guess}, **own))[0] == 409
    _, device = await counter.office.device("Camille", site=counter.site, round_id=counter.round_id)
    for heard in ("nobody", "unknown_name"):
        assert (await counter.call("POST", f"{path}/confirm", {"answer": heard}, **device))[0] == 200
    await counter.fire()
    assert (await counter.state(made["request_id"]))[0] == "requested"
    said = set(await counter.published(f"delivery_point/{counter.point}"))
    assert not said & {"verified", "accepted", "applied"}
