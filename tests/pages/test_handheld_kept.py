"""What the phone keeps and for how long: through another store, another app, a sign-out; and its places and pictures."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Route, expect

from fieldsvc.access import enrolment
from fieldsvc.web.media import MEDIA
from tests.pages.browser import Open, Site, Watch
from tests.pages.outbox_bed import SKEWED, Bed, answering, problem, signal, stored, until
from tests.pages.supervised import Gate

pytestmark = pytest.mark.asyncio(loop_scope="session")


# Another store, another app, another day


async def test_another_store_epoch_sends_what_was_accepted_again_under_the_same_ids(bed: Any) -> None:
    one = await bed()
    await one.start()
    await one.queue(signal(1), signal(2))
    before = await one.ended("accepted", "accepted")
    epoch, first = str(uuid4()), await one.run("return (await open()).get('epoch')")
    assert UUID(first)

    async def restored(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, headers={**answer.headers, "fieldsvc-store-epoch": epoch})

    await one.page.route("**/v1/**", restored)
    await one.queue(signal(3))

    async def again() -> list[dict[str, Any]] | None:
        found = await one.entries()
        done = [each["status"] for each in found] == ["duplicate", "duplicate", "accepted"]
        return found if done and {each["state"] for each in found} == {"accepted"} else None

    after = await until(again)
    assert [each["id"] for each in after[:2]] == [each["id"] for each in before]
    assert await one.run("return (await open()).get('epoch')") == epoch
    assert len(one.requests) == 3


async def test_what_was_answered_is_kept_for_seven_days_and_then_wiped_and_what_was_not_never_is(
    page: Open, site: Site, watch: Watch
) -> None:
    watch.forgive("status of 413", "status of 503")
    opened = await page("/")
    await opened.context.add_init_script(SKEWED)
    await opened.reload()
    one = await Bed.joined(site, opened)
    name = await draw(one, 96, 64)
    await one.queue(with_picture(name), signal(2, holdMs=60_000))
    await one.run("const [, held] = await outbox.entries(); await outbox.undo([held.id])")
    await one.start()
    await one.ended("accepted", "undone")

    async def there() -> bool:
        return [each["state"] for each in await pictures(one)] == ["accepted"]

    await until(there)
    await one.page.route("**/v1/events", answering(problem(413, "too_large"), *[problem(503, "unavailable")] * 99))
    await one.queue(signal(3))
    await one.ended("accepted", "undone", "refused")
    await one.queue(signal(4))
    for days, states in (
        (6.99, ["accepted", "undone", "refused", "waiting"]),
        (7.01, ["refused", "waiting"]),
        (400, ["refused", "waiting"]),
    ):
        await one.page.evaluate("(days) => sessionStorage.setItem('skew', String(days * 86_400_000))", days)
        await one.page.reload()
        await one.run("await (await start()).wake()")
        await one.ended(*states)
        assert [each["sha256"] for each in await pictures(one)] == [name] * (len(states) == 4)


async def test_an_older_tab_goes_on_beside_a_newer_app_and_no_queue_is_lost(bed: Any) -> None:
    one = await bed()
    newer = await one.run(
        """const kept = await open();
           const heard = [];
           kept.listen(({ kind }) => heard.push(kind));
           await outbox.queue(given[0]);
           const steps = [...STEPS, (db, transaction) => {
             db.createObjectStore('more');
             transaction.objectStore('outbox').createIndex('urgent', 'urgent');
           }];
           const saving = outbox.queue(given[1]);
           const next = await connect('fieldsvc-handheld', steps);
           await saving;
           await outbox.queue(given[2]);
           const found = await next.read(['outbox'], ({ outbox }) => done(outbox.getAll()));
           return { heard, subjects: found.map(({ event }) => event.subject), version: (await next.database()).version,
             schema: await kept.get('_schema') };""",
        [signal(1), signal(2), signal(3)],
    )
    assert "replaced" in newer["heard"]
    assert newer["subjects"] == ["object/OB-1", "object/OB-2", "object/OB-3"]
    assert (newer["version"], newer["schema"]) == (2, 2)
    await one.page.reload()  # the older app again, on the newer database
    await one.queue(signal(4))
    assert len(await one.entries()) == 4


# Signed out


async def test_a_phone_that_is_signed_out_keeps_its_queue_and_goes_on_when_it_is_joined_anew(
    bed: Any, site: Site, watch: Watch
) -> None:
    watch.forgive("status of 403")
    one = await bed()
    device = await one.run("return (await (await open()).get('device')).device_id")
    site.service.call(enrolment.revoke_device(site.service.platform.database, device))
    site.service.platform.access.forget()
    await one.run("globalThis.told = []; onExpired((device) => told.push(device.device_id)); await start()")
    queued = await one.queue(signal(1), signal(2))

    async def stopped() -> bool:
        return bool((await one.counts())["stopped"] == {"reason": "sign_in_expired", "until": None})

    await until(stopped)
    assert await one.page.evaluate("() => told") == [device]
    assert await one.states() == ["waiting", "waiting"]
    await one.queue(signal(3))
    await one.page.reload()
    await one.start()
    assert len(one.requests) == 1
    await one.join()
    entries = await one.ended("accepted", "accepted", "accepted")
    assert [each["id"] for each in entries[:2]] == [each["id"] for each in queued]
    assert entries[0]["event"]["source"] == f"/devices/{device}"
    assert len(stored(site, entries)) == 3


async def test_what_only_says_no_on_the_way_is_no_sign_out(bed: Any, watch: Watch) -> None:
    watch.forgive("status of 403")
    one = await bed()
    portal = {"status": 403, "content_type": "text/html", "body": "<h1>Wi-Fi</h1>"}
    hello = {"status": 200, "content_type": "text/html", "body": "<h1>Bienvenue</h1>"}
    await one.page.route("**/v1/events", answering(portal, hello))
    await one.queue(signal(1))
    await one.start()
    for tries in (1, 2):

        async def tried(times: int = tries) -> bool:
            (entry,) = await one.entries()
            return (entry["state"], entry["reason"], entry["tries"]) == ("waiting", "server_busy", times)

        await until(tried)
        await one.run("await outbox.retry()")
    await one.ended("accepted")


# Places and pictures


async def test_a_proof_on_duty_carries_one_reading_of_the_place_and_nothing_waits_for_one(
    page: Open, site: Site, watch: Watch
) -> None:
    watch.forgive("/v1/runs/current")  # this phone has no run today
    more: dict[str, Any] = {
        "geolocation": {"latitude": 48.93781, "longitude": 2.16091, "accuracy": 8},
        "permissions": ["geolocation"],
    }
    opened = await page("/handheld", **more)
    await expect(opened.locator("html[data-screen]")).to_be_attached()  # from now on the page configures nothing itself
    one = await Bed.joined(site, opened)
    proof = {
        "type": "item.delivered",
        "subject": "item/RK123456785FR",
        "data": {"item_ids": ["RK123456785FR"], "to": "mailbox"},
    }
    await one.run("outbox.configure({ onDuty: () => false, keepsPosition: (type) => type.includes('item.delivered') })")
    await one.queue({**proof, "holdMs": 60_000})
    await one.run("outbox.configure({ onDuty: () => true })")
    await one.queue({**proof, "holdMs": 60_000}, signal(1, holdMs=60_000))

    async def placed() -> list[dict[str, Any]] | None:
        found = await one.entries()
        return found if "fix" in found[1]["event"]["data"] else None

    off_duty, on_duty, other = await until(placed)
    fix = on_duty["event"]["data"]["fix"]
    assert (fix["lat"], fix["lon"], fix["accuracy_m"]) == (48.93781, 2.16091, 8)
    assert abs(datetime.fromisoformat(fix["fixed_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert "fix" not in off_duty["event"]["data"]
    assert "fix" not in other["event"]["data"]


async def draw(one: Bed, wide: int, high: int, media_type: str = "image/jpeg") -> str:
    """Keep a picture that is hard to make small, as a camera gives one; return its name."""
    name: str = await one.run(
        """const { picture } = outbox;
           const canvas = new OffscreenCanvas(given.wide, given.high);
           const pen = canvas.getContext('2d');
           const noise = pen.createImageData(given.wide, given.high);
           for (let n = 0; n < noise.data.length; n += 1) noise.data[n] = n % 4 === 3 ? 255 : (n * 7919 + (n >> 5) * 104729) & 255;
           pen.putImageData(noise, 0, 0);
           return picture(await canvas.convertToBlob({ type: given.type }));""",
        {"wide": wide, "high": high, "type": media_type},
    )
    return name


async def pictures(one: Bed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await one.run(
        """const kept = await open();
           const every = await kept.read(['media'], ({ media }) => done(media.getAll()));
           return Promise.all(every.map(async ({ blob, ...each }) => {
             const { width, height } = await createImageBitmap(blob);
             return { ...each, width, height };
           }));"""
    )
    return found


def with_picture(name: str, **more: Any) -> dict[str, Any]:
    seen = {"kind": "streetlight", "point": {"lat": 48.93781, "lon": 2.16091}, "photo": name}
    return {"type": "place.observed", "data": seen, **more}


async def test_a_picture_is_made_small_and_leaves_only_when_its_event_cannot_be_undone_any_more(
    bed: Any, site: Site
) -> None:
    one = await bed()
    await one.start()
    large, taken_back, drawing = (
        await draw(one, 1800, 900),
        await draw(one, 64, 64),
        await draw(one, 400, 200, "image/png"),
    )
    assert await draw(one, 400, 200, "image/png") == drawing
    (undone,) = await one.queue(with_picture(taken_back, holdMs=60_000))
    assert undone["pictures"] == [taken_back]
    assert await one.run("return outbox.undo([given])", undone["id"])
    await one.queue(with_picture(large), with_picture(drawing))

    async def sent() -> list[dict[str, Any]] | None:
        found = await pictures(one)
        return found if [each["state"] for each in found].count("accepted") == 2 else None

    kept = {each["sha256"]: each for each in await until(sent)}
    assert (kept[large]["width"], kept[large]["height"], kept[large]["type"]) == (1600, 800, "image/webp")
    assert (kept[drawing]["width"], kept[drawing]["type"]) == (400, "image/png")
    assert kept[taken_back]["state"] == "draft"
    there = {name: site.service.call(site.service.app[MEDIA].find(bytes.fromhex(name))) for name in kept}
    assert [name for name, found in there.items() if found is None] == [taken_back]


async def test_a_picture_that_was_cut_off_goes_on_where_it_was_and_holds_no_event_up(
    page: Open, site: Site, watch: Watch
) -> None:
    gate = Gate(site.service.port)
    async with gate.listening() as address:
        watch.forgive(f"asked another host: {address}", "net::ERR_")
        one = await Bed.joined(site, await page(f"{address}/"))
        name = await draw(one, 1600, 1200)
        (size,) = [each["size"] for each in await pictures(one)]
        assert size > 3 * 131_072
        await one.start()
        parts = 0

        async def cut(route: Route) -> None:
            nonlocal parts
            parts += 1
            if parts == 3:
                gate.close()
            await route.continue_()

        await one.page.route("**/v1/media/*", cut)
        await one.queue(with_picture(name))

        async def stopped() -> bool:
            return parts >= 3 and (await pictures(one))[0]["reason"] == "offline"

        await until(stopped)
        gate.open()
        await one.run("await outbox.retry()")
        await one.queue(signal(1))

        async def sent() -> bool:
            return bool((await pictures(one))[0]["state"] == "accepted")

        await until(sent)
        await one.ended("accepted", "accepted")
        said = b"".join(gate.asked)
        ranges = [int(each) for each in re.findall(rb"[Cc]ontent-[Rr]ange: bytes (\d+)-", said)]
        assert ranges == sorted(ranges)
        assert ranges.count(0) == 1
        assert b"bytes */" in said
        await one.page.close()
