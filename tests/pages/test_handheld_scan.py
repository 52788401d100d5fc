"""What a scan means: the ids as handlers/item_ids.py has them, and the decision from the sheet and the day, without a page."""

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import Page

from fieldsvc.work.booking import code_check
from fieldsvc.work.sheet_parts import hashed_code
from handlers import item_ids
from handlers.proof import Evidence, lacking
from tests.pages.browser import Open

pytestmark = pytest.mark.asyncio(loop_scope="session")
PUBLISHED = "RR473124829GB CB662173705US RK123456785FR LL456789015FR CF876543216FR EE555123453FR VV123456785FR".split()
DOMESTIC = ["6A15602676300", "87000634002228A", "1B345678901", "5D0123456789AB"]
SSCC = ["106141412345678908", "00106141412345678908", "106141412345678909"]
NOTHING = ["", "R", "rr473124829gb", "RR47312482GB", "P-20261122003", "http://x", "é" * 12, "RK1234567850FRR", "0" * 21]
NOW = 1_795_000_000_000
# a day as the page has it: two signed items, a plain one, a pouch, a key, a pet that shares the pouch's id, three stops
DAY = """
  const stop = (n, tasks = []) => ({ stop_id: `st-${n}`, delivery_point_id: `dp-${n}`, address: `${n} rue X`, sequence: n,
    lat: 48.9 + n * 0.001, lon: 2.1, tasks });
  const task = (subject, requirements = []) => ({ task_id: subject, subject, service: subject.split('/')[0], requirements });
  const stops = [
    stop(1, [task('item/RK123456785FR', ['identity', 'signature']), task('item/6A15602676300')]),
    stop(2, [task('pouch/P-1'), task('key/K-1'), task('pet/P-1'), task('pouch/P-20261122003'), task('visit/V-1')]),
    stop(3, [task('item/6A15602676311', ['signature']), task('meter/M-1'), task('letter/L-1'), task('pet/A-7')]),
    stop(4),
  ];
  const facts = given.facts ?? {};
  const day = {
    sheet: { stops, tasks_without_stop: [], requests: given.requests ?? [] }, stops, own: { facts },
    tasks: stops.flatMap((each) => each.tasks),
    stop: (id) => stops.find((each) => each.stop_id === id) ?? null,
    next: () => stops[given.next ?? 0] ?? null,
    factsOf: (subject) => facts[subject] ?? {},
    stateOf: (subject) => Object.entries(facts[subject] ?? {}).sort((a, b) => b[1] - a[1])[0]?.[0] ?? null,
  };
"""


async def call(page: Page, module: str, script: str, given: Any = None) -> Any:
    """Run a script with a module of the page as `m` and what is given as `given`."""
    return await page.evaluate(
        f"async (given) => {{ const m = await import('/static/handheld/{module}.js'); {script} }}", given
    )


async def decided(page: Page, codes: list[str], mode: str = "deliver", **given: Any) -> list[dict[str, Any]]:
    """Decide codes; of a stop only its id is kept."""
    script = f"""{DAY}
      return given.codes.map((code) => {{
        const found = m.decide(code, {{ day, mode: given.mode, now: given.now, here: given.here, fix: given.fix }});
        return {{ ...found, stop: found.stop?.stop_id ?? null, requests: (found.requests ?? []).map((each) => each.kind) }};
      }});"""
    found: list[dict[str, Any]] = await call(page, "scan", script, {"codes": codes, "mode": mode, "now": NOW, **given})
    return found


def corpus() -> Iterator[str]:
    """Ids of every kind, sound ones and ones with a wrong digit, a swap or a wrong length; always the same."""
    rng = random.Random(8)
    yield from (*PUBLISHED, *DOMESTIC, *SSCC, *NOTHING)
    for _ in range(400):
        serial = f"{rng.randrange(10**8):08d}"
        yield f"{rng.choice(('RK', 'VA', 'LL', 'CB', 'AR'))}{serial}{rng.randrange(10)}{rng.choice(('FR', 'GB'))}"
        yield f"RK{serial}{item_ids.s10_check_digit(serial)}FR"
        digits = f"{rng.randrange(10**17):017d}"
        yield f"{digits}{rng.choice((item_ids.gs1_check_digit(digits), rng.randrange(10)))}"
        yield "".join(rng.choices("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=rng.randrange(9, 18)))


def judged(item_id: str) -> list[Any]:
    kind = item_ids.kind_of(item_id)
    checks = item_ids.is_s10(item_id), item_ids.is_sscc(item_id), item_ids.looks_like_s10(item_id)
    return [kind and kind.name, item_ids.is_misread(item_id), item_ids.is_registered(item_id), *checks]


async def test_the_phone_judges_every_id_as_the_service_does(page: Open) -> None:
    ids = list(corpus())
    script = "return given.map((id) => [m.kindOf(id), m.isMisread(id), m.isRegistered(id), m.isS10(id), m.isSscc(id), m.looksLikeS10(id)]);"
    found = await call(await page("/"), "codes", script, ids)
    assert {id_: got for id_, got in zip(ids, found, strict=True) if got != judged(id_)} == {}
    assert {kind for kind, *_ in found} == {None, "s10", "sscc", "domestic"}


async def test_the_phone_proposes_the_same_candidates_as_the_service(page: Open) -> None:
    rng = random.Random(9)
    ids = [each for each in corpus() if item_ids.kind_of(each)][:300]
    expected = {f"item/{each}" for each in ids}
    asked = [*ids[:20], *(each[:4] + each[5] + each[4] + each[6:] for each in ids)]
    asked += [each[:6] + rng.choice("0123456789") + each[7:] for each in ids] + ["QQ000000000QQ", "short", ""]
    script = "const known = new Set(given.expected); return given.asked.map((id) => m.candidates(id, known, 'item/'));"
    found = await call(await page("/"), "codes", script, {"asked": asked, "expected": sorted(expected)})
    assert found == [item_ids.candidates(each, expected, prefix="item/") for each in asked]
    assert sum(map(bool, found)) > 300


async def test_what_a_scanner_sends_is_cleaned_and_nothing_else_is_changed(page: Open) -> None:
    raw = [" rk 1234 5678 5 fr\r\n", "\u001d6a15602676300", "P-20261122003", "http://x", "\u200b", "pouch/P-1"]
    found = await call(await page("/"), "codes", "return given.map((each) => m.clean(each));", raw)
    assert found == ["RK123456785FR", "6A15602676300", "P-20261122003", "http://x", "", "pouch/P-1"]


async def test_a_scan_on_the_round_is_decided_by_what_the_sheet_knows(page: Open) -> None:
    codes = [
        "6A15602676300",
        "RK123456785FR",
        "6A15602676311",
        "V-1",
        "pouch/P-1",
        "K-1",
        "M-1",
        "L-1",
        "A-7",
        "st-2",
        "dp-3",
    ]
    found = await decided(await page("/"), codes)
    assert [(each["kind"], each["stop"]) for each in found] == [
        ("deliver", "st-1"), ("registered", "st-1"), ("registered", "st-3"), ("visit", "st-2"), ("pouch", "st-2"),
        ("key", "st-2"), ("meter", "st-3"), ("letter", "st-3"), ("pet", "st-3"), ("stop", "st-2"), ("stop", "st-3"),
    ]  # fmt: skip
    assert [each.get("go") for each in found[3:]] == [
        "#/visit/V-1", "#/pouch/P-1", "#/form/key.returned?subject=key%2FK-1&stop=st-2",
        "#/form/meter.read?subject=meter%2FM-1&stop=st-3", "#/form/letter.delivered?subject=letter%2FL-1&stop=st-3",
        "#/form/pet.picked_up?subject=pet%2FA-7&stop=st-3", "#/stop/st-2", "#/stop/st-3",
    ]  # fmt: skip


async def test_before_and_after_the_round_the_same_scan_loads_and_brings_back(page: Open) -> None:
    opened = await page("/")
    codes = ["6A15602676300", "RK123456785FR", "LL456789015FR", "K-1", "A-7", "L-1"]
    loaded = await decided(opened, codes, "load")
    assert [each["kind"] for each in loaded] == ["load", "load", "load", "key", "pet", "letter"]
    assert loaded[3]["go"].startswith("#/form/key.collected?")
    back = await decided(opened, codes, "back", facts={"item/LL456789015FR": {"loaded": 1, "returned": 2}})
    assert [each["kind"] for each in back] == ["back", "back", "again", "key", "pet", "letter"]
    assert back[3]["go"].startswith("#/form/key.deposited?")


async def test_what_was_done_before_is_not_done_twice(page: Open) -> None:
    facts = {"item/6A15602676300": {"loaded": 1, "delivered": 2}, "item/RK123456785FR": {"attempted": 1}}
    found = await decided(await page("/"), ["6A15602676300", "RK123456785FR"], facts=facts)
    assert [each["kind"] for each in found] == ["done", "done"]
    for mode, kinds in (("load", ["done", "load"]), ("back", ["done", "back"])):
        found = await decided(await page("/"), ["6A15602676300", "RK123456785FR"], mode, facts=facts)
        assert [each["kind"] for each in found] == kinds
    found = await decided(await page("/"), ["6A15602676300"], "load", facts={"item/6A15602676300": {"loaded": 1}})
    assert found[0]["kind"] == "again"


async def test_a_misread_code_names_what_it_may_have_been_and_a_wrong_check_digit_is_said(page: Open) -> None:
    codes = ["RK123456784FR", "RK123465785FR", "6A15602676301", "P-1", "RK473124828GB", "P-20261122002", "??", "a b"]
    found = await decided(await page("/"), codes)
    assert [(each["kind"], each.get("reason"), each.get("candidates")) for each in found] == [
        ("misread", "near", ["item/RK123456785FR"]),
        ("misread", "near", ["item/RK123456785FR"]),
        ("misread", "near", ["item/6A15602676300", "item/6A15602676311"]),
        ("misread", "ambiguous", ["pouch/P-1", "pet/P-1"]),
        ("misread", "check_digit", []),
        ("misread", "near", ["pouch/P-20261122003"]),
        ("unknown", None, None),
        ("unknown", None, None),
    ]
    assert [each["usable"] for each in found[6:]] == [False, True]


async def test_an_item_that_nothing_expects_goes_to_the_place_where_the_carrier_probably_is(page: Open) -> None:
    opened = await page("/")
    code = ["LL456789015FR"]

    async def believed(**known: Any) -> tuple[Any, ...]:
        found = (await decided(opened, code, **known))[0]
        return found["kind"], found["stop"], found["by"]

    assert await believed(next=1) == ("deliver", "st-2", "next")
    assert await believed(here={"stop_id": "st-3", "at": NOW - 60_000}) == ("deliver", "st-3", "last")
    assert await believed(here={"stop_id": "st-3", "at": NOW - 3_600_000}) == ("deliver", "st-1", "next")
    near = {"lat": 48.9041, "lon": 2.1001}
    assert await believed(here={"stop_id": "st-3", "at": NOW}, fix={**near, "at": NOW - 5_000}) == (
        "deliver",
        "st-4",
        "fix",
    )
    assert await believed(fix={**near, "at": NOW - 90_000}) == ("deliver", "st-1", "next")
    assert await believed(fix={"lat": 48.0, "lon": 2.0, "at": NOW}) == ("deliver", "st-1", "next")
    assert await believed(next=99) == ("deliver", None, "none")
    registered = await decided(opened, ["RR473124829GB"])
    assert (registered[0]["kind"], registered[0]["unexpected"]) == ("registered", True)


async def test_what_was_asked_for_a_door_changes_what_the_scan_does(page: Open) -> None:
    opened = await page("/")

    async def kinds(kind: str, subject: str = "item/6A15602676300", **more: Any) -> list[str]:
        request = {"kind": kind, "subject": subject, "stop_id": "st-1", "delivery_point_id": "dp-1", **more}
        found = await decided(opened, ["6A15602676300", "RK123456785FR", "6A15602676311"], requests=[request])
        return [each["kind"] for each in found]

    for kind in ("other_date", "hold", "pickup_point"):
        assert await kinds(kind) == ["keep", "registered", "registered"]
    assert await kinds("hold", "delivery_point/dp-1") == ["keep", "keep", "registered"]
    assert await kinds("redirect_permanent", "delivery_point/dp-1") == ["keep", "keep", "registered"]
    assert await kinds("redirect_permanent", "delivery_point/dp-1", ask={}) == ["deliver", "registered", "registered"]
    assert await kinds("neighbour") == await kinds("safe_place") == ["choose", "registered", "registered"]
    assert await kinds("proxy") == await kinds("second_presentation") == ["deliver", "registered", "registered"]
    kept = await decided(opened, ["6A15602676300"], facts={"item/6A15602676300": {"done": 5, "kept": 6}})
    assert kept[0]["kind"] == "keep"
    moved = {"kind": "other_date", "subject": "item/6A15602676301", "stop_id": "st-1", "delivery_point_id": "dp-1"}
    (found,) = await decided(opened, ["6A15602676301"], requests=[moved])  # not due today any more, and in the bag
    assert found["kind"] == "keep"


async def test_the_mode_follows_the_day_and_the_carrier_s_own_choice(page: Open) -> None:
    minutes = 60_000
    cases: list[tuple[str, dict[str, Any]]] = [
        ("load", {"duty": "off"}),
        ("deliver", {"duty": "on"}),
        ("deliver", {"duty": "paused", "left": 3}),
        ("back", {"duty": "ended"}),
        ("deliver", {"duty": "off", "chosen": "deliver"}),
        ("load", {"duty": "on", "chosen": "load"}),
        ("load", {"duty": "on", "left": 2, "facts": {"item/A": {"loaded": NOW - 2 * minutes}}}),
        ("deliver", {"duty": "on", "left": 0, "facts": {"item/A": {"loaded": NOW - 2 * minutes}}}),
        ("deliver", {"duty": "on", "left": 2, "facts": {"item/A": {"loaded": NOW - 20 * minutes}}}),
        ("deliver", {"duty": "on", "left": 2, "facts": {"item/A": {"loaded": NOW, "delivered": NOW}}}),
        ("deliver", {"duty": "on", "chosen": "nonsense"}),
    ]
    script = "return given.cases.map((each) => m.modeOf({ ...each, now: given.now }));"
    found = await call(await page("/"), "scan", script, {"cases": [case for _, case in cases], "now": NOW})
    assert found == [mode for mode, _ in cases]


async def test_the_same_label_within_seconds_is_an_echo(page: Open) -> None:
    script = """const last = { id: 'RK123456785FR', at: 1000 };
      return [m.isEcho(' rk123456785fr', last, 2000), m.isEcho('RK123456785FR', last, 9000),
              m.isEcho('LL456789015FR', last, 2000), m.isEcho('LL456789015FR', null, 2000)];"""
    assert await call(await page("/"), "scan", script) == [True, False, False, False]


async def test_the_stops_offered_beside_the_believed_one_are_its_neighbours(page: Open) -> None:
    script = DAY + "const near = (stop, most) => m.around(day, stop, most).map((each) => each.stop_id);"
    script += "return [near(stops[1]), near(stops[0], 2), near(null, 2)];"
    assert await call(await page("/"), "scan", script, {}) == [
        ["st-3", "st-1", "st-4"], ["st-2", "st-3"], ["st-1", "st-2"],
    ]  # fmt: skip


async def test_a_proof_that_the_form_makes_lacks_nothing_that_the_order_of_2007_asks_for(page: Open) -> None:
    who = {"surname": "Sourdeval", "first_name": "Samir"}
    signed = {"signature": "a" * 64, "day": "2026-11-22", "name": who}
    cases: list[tuple[str, dict[str, Any], list[str]]] = [
        ("addressee", {"document": "passport"}, []),
        ("mandate_holder", {"document": "identity_card"}, []),
        ("addressee", {"known": True, "carrierSignature": "b" * 64}, []),
        ("addressee", {"known": True}, ["carrier_signature"]),
        ("addressee", {}, ["identity"]),
        ("addressee", {"document": "passport", "signature": None, "codeOk": True}, ["signature"]),
    ]
    given = [{"to": to, **signed, **more} for to, more, _ in cases]
    found = await call(await page("/"), "cases", "return given.map((each) => m.proofOf(each));", given)
    for (to, _, missing), made in zip(cases, found, strict=True):
        assert Evidence.model_validate(made, strict=True)
        assert lacking(made, to=to) == missing


async def test_names_are_read_as_they_are_written_on_mail(page: Open) -> None:
    written = [
        "Samir Sourdeval", "M. Jean DUPONT", "DUPONT Jean", "Mme Marie-Claire Du Pont", "Dupont", "",
        {"surname": "Roy", "first_name": "Zoé"}, None,
    ]  # fmt: skip
    found = await call(await page("/"), "cases", "return given.map((each) => Object.values(m.nameOf(each)));", written)
    assert found == [
        ["Samir", "Sourdeval"], ["Jean", "DUPONT"], ["Jean", "DUPONT"], ["Marie-Claire", "Du Pont"], ["", "Dupont"],
        ["", ""], ["Zoé", "Roy"], ["", ""],
    ]  # fmt: skip


async def test_fifteen_days_are_counted_over_the_end_of_a_month_and_the_office_has_a_name(page: Open) -> None:
    script = """return [m.dayOf(new Date(2026, 10, 22), 15), m.dayOf(new Date(2026, 11, 31), 1), m.dayOf(new Date(2026, 2, 28, 23, 59), 1),
      m.officeOf({ site: 'villeneuve-ouest' }), m.officeOf({ site: 'épinay' }), m.officeOf(null)];"""
    assert await call(await page("/"), "cases", script) == [
        "2026-12-07", "2027-01-01", "2026-03-29", "Villeneuve-Ouest", "Épinay", "",
    ]  # fmt: skip


async def test_a_code_is_checked_offline_as_the_sheet_hashed_it_and_three_wrong_ones_end_it(page: Open) -> None:
    row: Any = SimpleNamespace(id="tsk_1", event="019a8f3e")
    ordered = {"task_id": "tsk_2", "details": {"code_check": code_check("4471", bytes(range(16)))}}
    task = {"task_id": "tsk_1", "details": {"code": hashed_code(row, "A4471")}, "ordered": ordered}
    script = """
      const kept = { values: new Map(), get: async (name) => kept.values.get(name), set: async (name, value) => kept.values.set(name, value) };
      const tries = async (...codes) => {
        kept.values.clear();
        const found = [];
        for (const code of codes) found.push(await m.attempt(kept, given, code));
        return found.map(({ ok, used, left }) => [ok, used, left]);
      };
      return [await tries('0000', ' a4471 ', '9999'), await tries('1', '2', '3', 'A4471'), (await m.attempt(kept, given.ordered, '4471')).ok, m.hashedOf({})];"""
    right, wrong, also, none = await call(await page("/"), "postal", script, task)
    assert right == [[False, 1, 2], [True, 2, 1], [True, 2, 1]]
    assert wrong == [[False, 1, 2], [False, 2, 1], [False, 3, 0], [False, 3, 0]]
    assert (also, none) == (True, None)


async def test_a_scanner_is_told_from_a_thumb_by_enter_or_by_a_pause_after_a_whole_code(page: Open) -> None:
    script = """
      const run = (keys, pauses = 0) => {
        const codes = [], taken = [];
        let timer = null;
        const wedge = new m.Wedge({ onCode: (code) => codes.push(code), isWhole: (text) => text.length === 13,
          later: (fn) => (timer = fn), cancel: () => (timer = null) });
        keys.forEach((key, n) => taken.push(wedge.take(key, n * 10)));
        for (let n = 0; n < pauses; n += 1) timer?.();
        return [codes, taken.some(Boolean), wedge.text];
      };
      const code = [...'RK123456785FR'];
      return [run([...code, 'Enter']), run([...code, 'Tab']), run(code, 1), run(code.slice(0, 9), 1), run(code.slice(0, 9), 2),
              run(['Enter']), run(['a', 'Enter']), run([' ']), run(['Shift', 'ArrowDown'])];"""
    code = "RK123456785FR"
    assert await call(await page("/"), "wedge", script) == [
        [[code], True, ""], [[code], True, ""], [[code], False, ""], [[], False, code[:9]], [[], False, ""],
        [[], False, ""], [[], False, ""], [[], False, ""], [[], False, ""],
    ]  # fmt: skip


async def test_a_signature_is_black_on_white_and_a_mere_touch_is_none(page: Open) -> None:
    opened = await page("/", theme="dark")
    script = """
      const pad = m.signaturePad({ label: 'x' });
      document.body.prepend(pad.node);
      const canvas = pad.node.querySelector('canvas');
      canvas.setPointerCapture = () => {};
      Object.assign(canvas.style, { width: '300px', height: '150px', display: 'block' });
      const say = (name, x, y) => canvas.dispatchEvent(new PointerEvent(name, { clientX: x, clientY: y, pointerId: 1 }));
      say('pointerdown', 20, 60); say('pointerup', 20, 60);
      const touched = [pad.empty(), await pad.blob()];
      pad.clear();
      say('pointerdown', 20, 60);
      for (let n = 1; n < 20; n += 1) say('pointermove', 20 + 10 * n, 60 + (n % 2 ? 30 : -30));
      say('pointerup', 200, 60);
      const blob = await pad.blob();
      const picture = await createImageBitmap(blob);
      const pen = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
      pen.drawImage(picture, 0, 0);
      const { data } = pen.getImageData(0, 0, picture.width, picture.height);
      const dark = data.filter((value, n) => n % 4 === 0 && value < 64).length;
      return { touched, empty: pad.empty(), type: blob.type, wide: picture.width, dark, corner: [...data.slice(0, 4)] };"""
    found = await call(opened, "signature", script)
    assert found["touched"] == [True, None]
    assert found["empty"] is False
    assert (found["type"], found["corner"]) == ("image/png", [255, 255, 255, 255])
    assert 200 < found["wide"] <= 640
    assert found["dark"] > 500


async def test_who_may_take_an_item_are_its_addressee_the_mandates_of_the_sheet_and_for_ordinary_mail_the_household(
    page: Open,
) -> None:
    script = """
      const stop = { stop_id: 'st-1' };
      const mandates = [
        { subject: 'item/RK123456785FR', stop_id: 'st-1', mandate: { name: 'Inès Orval' } },
        { subject: 'item/LL456789015FR', stop_id: 'st-1', mandate: { name: 'Somebody Else' } },
        { subject: 'delivery_point/dp-1', stop_id: 'st-1', mandate: { name: 'Noé Ravinel' } },
        { subject: 'delivery_point/dp-2', stop_id: 'st-2', mandate: { name: 'Far Away' } },
      ];
      const who = (id, task) => m.acceptors({ mandates }, { subjects: [`item/${id}`], task, stop })
        .map((each) => [each.to, each.name ? m.fullName(each.name) : null, each.known]);
      const task = { addressee: 'Samir Sourdeval', known_to_you: true, requirements: ['signature'] };
      return [who('RK123456785FR', task), who('6A15602676311', { addressee: null, requirements: ['signature'] })];"""
    registered, signed = await call(await page("/"), "cases", script)
    assert registered == [
        ["addressee", "Samir Sourdeval", True], ["mandate_holder", "Inès Orval", False],
        ["mandate_holder", "Noé Ravinel", False], ["mandate_holder", None, False],
    ]  # fmt: skip
    assert signed == [["mandate_holder", "Noé Ravinel", False], ["household", None, False]]
