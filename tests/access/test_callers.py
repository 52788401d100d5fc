from datetime import UTC, datetime, timedelta

import pytest

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.access.callers import CACHE_S, Access
from fieldsvc.errors import Revoked, Unauthorized, UserMistake
from fieldsvc.store.recent import Recent
from tests.access.conftest import BASE, Clock


async def test_a_device_is_found_by_its_token_and_nothing_else(access: Access) -> None:
    made = await enrolment.enrol_device(access.database, BASE, carrier="Zoé", site="pantin", round_id="T01")
    device = await access.device(made["token"])
    assert (device.device_id, device.carrier, device.site, device.round_id) == (
        made["device_id"],
        "Zoé",
        "pantin",
        "T01",
    )
    for wrong in ("", "x", made["device_id"], made["token"][:-1], made["token"] + "A", "A" * 100_000, "\udcff"):
        with pytest.raises(Unauthorized):
            await access.device(wrong)
    with pytest.raises(Unauthorized):
        await access.account(made["token"])


async def test_the_object_of_an_enrolment_has_the_members_of_the_contract(access: Access) -> None:
    first = await enrolment.enrol_device(access.database, BASE + "/", carrier="Zoé", site="pantin")
    second = await enrolment.enrol_device(access.database, BASE, carrier="Léo", site="pantin")
    assert [first["device_id"], second["device_id"]] == ["d-0001", "d-0002"]
    assert first.keys() == {"device_id", "token", "owntracks", "osmand"}
    assert first["owntracks"] | {"passphrase": ""} == {
        "url": f"{BASE}/owntracks", "user": "d-0001", "password": first["token"], "passphrase": "",
    }  # fmt: skip
    assert len(first["owntracks"]["passphrase"]) == 32
    assert first["osmand"] == {"url": f"{BASE}/osmand/{first['token']}"}


@pytest.mark.parametrize("wait_s", [0.0, CACHE_S])
async def test_a_revoked_device_is_refused_within_five_seconds(access: Access, clock: Clock, wait_s: float) -> None:
    assert CACHE_S < 5
    made = await enrolment.enrol_device(access.database, BASE, carrier="Zoé", site="pantin")
    await access.device(made["token"])
    await enrolment.revoke_device(access.database, made["device_id"])
    clock.now += wait_s
    if wait_s:
        with pytest.raises(Revoked):
            await access.device(made["token"])
    else:
        assert (await access.device(made["token"])).revoked_at is None


async def test_looking_a_caller_up_often_does_not_lengthen_its_memory(access: Access, clock: Clock) -> None:
    made = await accounts.create_subscriber(access.database, "Pharmacie", scopes=["order:medication"])
    await access.account(made["api_key"])
    await accounts.revoke_account(access.database, made["account_id"])
    for _ in range(int(CACHE_S) - 1):
        clock.now += 1
        await access.account(made["api_key"])
    clock.now += 1
    with pytest.raises(Revoked):
        await access.account(made["api_key"])


async def test_an_unknown_token_that_becomes_known_is_taken_after_the_memory_of_it_ends(
    access: Access, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "new_token", lambda: "t" * 43)
    with pytest.raises(Unauthorized):
        await access.device("t" * 43)
    await enrolment.enrol_device(access.database, BASE, carrier="Zoé", site="pantin")
    clock.now += CACHE_S
    assert (await access.device("t" * 43)).device_id == "d-0001"


async def test_a_lost_device_is_known_with_the_earliest_time_it_was_said_to_be_lost(access: Access) -> None:
    made = await enrolment.enrol_device(access.database, BASE, carrier="Zoé", site="pantin")
    lost_at = datetime(2026, 11, 21, 9, tzinfo=UTC)
    for later_h in (1, 0, 2):
        await enrolment.report_lost(access.database, made["device_id"], lost_at=lost_at + timedelta(hours=later_h))
    device = await access.device(made["token"])
    assert (device.lost_at, device.revoked_at) == (lost_at, None)


async def test_no_credential_is_in_a_dump_of_the_database(access: Access, database_url: str) -> None:
    device = await enrolment.enrol_device(access.database, BASE, carrier="Zoé", site="pantin")
    subscriber = await accounts.create_subscriber(access.database, "Pharmacie")
    person = await accounts.create_person(access.database, BASE, "supervisor", email="s@x.fr", site="pantin")
    code = (await enrolment.issue_code(access.database, carrier="Léo", site="pantin")).shown
    link = person["sign_in_url"].rsplit("/", 1)[1]
    session = await accounts.sign_in(access.database, link, loopback=True)
    assert session is not None
    text = []
    async with access.database.acquire() as connection:
        for table in ("device", "account", "sign_in", "session", "enrolment"):
            rows = await connection.fetch(f"select {table}::text as line from {table}")
            text += [row["line"] for row in rows]
    dump = "\n".join(text)
    assert device["device_id"] in dump
    assert subscriber["account_id"] in dump
    letters = code.replace("-", "")
    for secret in (
        device["token"],
        subscriber["api_key"],
        subscriber["api_key"][4:],
        link,
        session,
        letters,
        letters[4:],
    ):
        assert secret not in dump
        assert secret.encode().hex() not in dump


async def test_revoking_an_account_ends_the_sessions_of_its_people(access: Access, clock: Clock) -> None:
    owner = await accounts.create_subscriber(access.database, "Pharmacie")
    member = await accounts.create_person(access.database, BASE, "member", email="m@x.fr", parent=owner["account_id"])
    session = await accounts.sign_in(access.database, member["sign_in_url"].rsplit("/", 1)[1], loopback=False)
    assert session is not None
    person = await access.person(session)
    assert (person.role, person.account, person.email) == ("member", owner["account_id"], "m@x.fr")
    assert set(await accounts.revoke_account(access.database, owner["account_id"])) == {
        owner["account_id"],
        member["account_id"],
    }
    clock.now += CACHE_S
    with pytest.raises(Unauthorized):
        await access.person(session)
    with pytest.raises(Revoked):
        await access.account(owner["api_key"])


@pytest.mark.parametrize(
    ("role", "email", "more", "says"),
    [
        ("king", "k@x.fr", {}, "The role king"),
        ("supervisor", "s@x.fr", {}, "needs a site"),
        ("supervisor", "s@x.fr", {"site": "rome"}, "There is no site rome"),
        ("partner", "p@x.fr", {}, "needs the account"),
        ("partner", "p@x.fr", {"parent": "acc_0"}, "There is no account acc_0"),
        ("adviser", "nobody", {}, "is not an e-mail address"),
    ],
)
async def test_a_mistake_in_an_account_is_said_plainly(
    access: Access, role: str, email: str, more: dict[str, str], says: str
) -> None:
    with pytest.raises(UserMistake, match=says):
        await accounts.create_person(access.database, BASE, role, email=email, **more)  # type: ignore[arg-type]


async def test_other_mistakes_are_said_plainly(access: Access) -> None:
    with pytest.raises(UserMistake, match="The scope everything is none"):
        await accounts.create_subscriber(access.database, "X", scopes=["everything"])
    with pytest.raises(UserMistake, match="There is no site rome"):
        await enrolment.enrol_device(access.database, BASE, carrier="Zoé", site="rome")
    with pytest.raises(UserMistake, match="There is no device d-0001"):
        await enrolment.revoke_device(access.database, "d-0001")
    with pytest.raises(UserMistake, match="There is no account acc_1"):
        await accounts.revoke_account(access.database, "acc_1")


async def test_the_same_person_keeps_one_account(access: Access) -> None:
    one = await accounts.create_person(access.database, BASE, "supervisor", email="s@x.fr", site="pantin")
    two = await accounts.create_person(access.database, BASE, "supervisor", email="S@X.fr", site="pantin")
    assert one["account_id"] == two["account_id"]
    assert one["sign_in_url"] != two["sign_in_url"]


def test_memories_are_bounded_and_forget_the_least_used(clock: Clock) -> None:
    memory: Recent[int, int] = Recent(size=3, ttl_s=10, clock=clock)
    for key in (1, 2, 3):
        memory.put(key, key, since=clock())
    assert memory.get(1) == 1
    memory.put(4, 4, since=clock())
    assert (len(memory), memory.get(2), memory.get(1)) == (3, None, 1)
    clock.now += 10
    assert memory.get(1) is None
