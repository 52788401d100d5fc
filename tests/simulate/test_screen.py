import asyncio
import io

from fieldsvc.simulate.screen import CLEAR_LINE, RED, CountLine, Screen, count_line, screen


class Tty(io.StringIO):
    def isatty(self):
        return True


def test_the_count_line_says_order_ok_when_nothing_is_wrong():
    assert count_line(CountLine(1204, 1198, 1190)) == "in 1,204 → located 1,198 → delivered 1,190 · order ok"


def test_violations_take_the_place_of_order_ok_and_are_red_on_a_tty():
    assert count_line(CountLine(3, 2, 1, violations=1)) == "in 3 → located 2 → delivered 1 · 1 violation"
    assert f"{RED}2 violations" in count_line(CountLine(3, 2, 1, violations=2), colour=True)


def test_the_screen_lists_links_and_sign_ins_with_aligned_labels():
    text = screen(
        "fieldsvc demo",
        [("API", "http://127.0.0.1:8080/docs")],
        sign_ins=[("supervisor", "http://x/1")],
        notes=["Ctrl-C stops."],
    )
    assert "  API         http://127.0.0.1:8080/docs\n" in text
    assert "  supervisor  http://x/1\n" in text
    assert text.endswith("  Ctrl-C stops.\n\n")
    assert "\x1b" not in text


def test_on_a_tty_the_line_is_updated_in_place_and_a_violation_goes_above_it():
    out = Tty()
    shown = Screen(out, lambda: CountLine(1, 1, 1))
    shown.update()
    shown.violation("Order broken: item/RK1 got sequence 1 after 2.")
    shown.update()
    text = out.getvalue()
    assert text.startswith(f"\r{CLEAR_LINE}in 1")
    assert f"\r{CLEAR_LINE}{RED}Order broken" in text
    assert text.count("\n") == 1


def test_elsewhere_each_update_is_one_plain_line():
    out = io.StringIO()
    shown = Screen(out, lambda: CountLine(1, 1, 1))
    shown.show("fieldsvc demo", [("API", "http://x")])
    shown.update()
    shown.violation("Signature refused: no signature fits.")
    assert out.getvalue().endswith("delivered 1 · order ok\nSignature refused: no signature fits.\n")
    assert "\x1b" not in out.getvalue()


async def test_the_line_moves_until_stopped_and_ends_with_a_last_one():
    out, stop, counts = Tty(), asyncio.Event(), iter(range(1, 1000))
    shown = Screen(out, lambda: CountLine(next(counts), 0, 0))
    job = asyncio.create_task(shown.run(stop))
    while "in 3" not in out.getvalue():
        await asyncio.sleep(0.05)
        assert not job.done()
    stop.set()
    await job
    assert out.getvalue().endswith("\n")
