"""The drawing of a round and a run: valid, small, told in words, and unbroken by odd names and odd places."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from math import nan

import numpy as np
import pytest

from geo.drawing import Drawn, draw_run, visited_stops
from geo.errors import EmptyRound
from geo.matching import Matcher
from geo.positions import Fix, Plane
from geo.rounds import Round, Stop

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
PLANE = Plane(48.9, 2.48)
SVG = "{http://www.w3.org/2000/svg}"
ODD_NAME = "T<07> & \"co\" 'x' ]]> \x00\x0b"


def comb(round_id="T07", name=None):
    points = [point for j in range(4) for point in ((0, 110 * j), (500, 110 * j), (0, 110 * j))]
    line = [PLANE.latlon(x, y)[::-1] for x, y in points]
    bare = Round(round_id, line, ())
    places = [bare.point_at(d) for d in np.arange(9.0, bare.length_m, 18.0)]
    return Round(round_id, line, [Stop(f"{round_id}-{i}", *p) for i, p in enumerate(places)], "s", "foot", name)


def walked(rnd, *, to_m, every_s=8.5, mps=0.7, sigma_m=6.0, beside_m=0.0):
    rng, fixes = np.random.default_rng(1), []
    for n in range(int(to_m / (mps * every_s))):
        x, y = PLANE.xy(*rnd.point_at(n * mps * every_s))
        lat, lon = PLANE.latlon(x + rng.normal(0, sigma_m), y + beside_m + rng.normal(0, sigma_m))
        fixes.append(Fix(lat, lon, START + timedelta(seconds=n * every_s), sigma_m * 1.515))
    return fixes


def drawn(rnd, fixes):
    found = Matcher(rnd).replay(fixes)
    text = draw_run(rnd, fixes, [each.provisional for each in found])
    return text, ET.fromstring(text)


def test_a_run_is_drawn_with_its_line_stops_fixes_ties_and_legend():
    rnd = comb(name="Centre")
    fixes = walked(rnd, to_m=1_500)
    _, root = drawn(rnd, fixes)
    assert root.tag == f"{SVG}svg"
    assert (
        len(root.findall(f"{SVG}circle[@class='stop visited']")) + len(root.findall(f"{SVG}circle[@class='stop']"))
        == len(rnd.stops) + 2
    )
    dots = [each for each in root.iter(f"{SVG}path") if each.get("class", "").endswith(" dot")]
    assert len([each for each in dots if each.find(f"{SVG}title") is not None]) == len(fixes)
    assert root.find(f"{SVG}path[@class='on_round tie']") is not None
    words = " ".join(each.text or "" for each in root.iter(f"{SVG}text"))
    assert all(each in words for each in ("Round T07 (Centre)", "stop visited", "stop ahead", "north is up", "50 m"))


def test_screen_readers_are_told_what_is_drawn():
    rnd = comb()
    _, root = drawn(rnd, walked(rnd, to_m=800))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title about"
    title, about = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
    assert title == "Round T07, replayed 2026-11-21 08:00 to 08:18 UTC"
    assert re.search(r"\d\.\d km with \d+ stops, \d\d of them visited; 134 fixes: \d+ on the round", about or "")


def test_fixes_off_the_round_have_their_own_colour_and_dashes_and_no_tie():
    rnd = comb()
    fixes = walked(rnd, to_m=150, beside_m=-300)
    text, root = drawn(rnd, fixes)
    assert root.findall(f"{SVG}circle[@class='off_round ring']")
    assert root.find(f"{SVG}path[@class='off_round tie']") is None
    assert ".off_round.ring{stroke-dasharray" in text
    assert "prefers-color-scheme:dark" in text


@pytest.mark.parametrize("every_s", [8.5, 1.0])
def test_four_hours_stay_under_a_megabyte(every_s, note, compiled):
    rnd = comb()
    fixes = walked(rnd, to_m=4_250, every_s=every_s, mps=4_250 / 14_400)
    text, root = drawn(rnd, fixes)
    note(f"drawing of {len(fixes)} fixes: {len(text) / 1e3:.0f} kB")
    assert len(text) < 1_000_000
    about = root.findtext(f"{SVG}desc") or ""
    assert ("of them are drawn" in about) == (every_s == 1.0)


def test_odd_names_break_nothing():
    _, root = drawn(comb(ODD_NAME, name=ODD_NAME), walked(comb(), to_m=60))
    assert "T<07> & \"co\" 'x' ]]> \ufffd\ufffd" in (root.findtext(f"{SVG}title") or "")


def test_fixes_that_are_no_place_or_far_away_are_left_out_and_said():
    rnd = comb()
    fixes = walked(rnd, to_m=100)
    odd = [Fix(nan, 2.0, START), Fix(-33.9, 151.2, START, 10.0), Fix(95.0, 2.0, START), Fix(0.0, 0.0, START)]
    root = ET.fromstring(draw_run(rnd, [*fixes, *odd], [None] * (len(fixes) + len(odd))))
    assert f"{len(fixes)} of them are drawn" in (root.findtext(f"{SVG}desc") or "")
    assert len(root.findall(f"{SVG}path[@class='unknown dot']")) == len(fixes) + 1


def test_a_round_alone_a_single_place_and_a_round_without_stops_are_drawn():
    for rnd in (comb(), Round("one", (), (Stop("s", 48.9, 2.48),)), Round("bare", comb().line, ())):
        root = ET.fromstring(draw_run(rnd))
        assert root.findtext(f"{SVG}title", "").endswith("as planned")
        assert "nan" not in ET.tostring(root, encoding="unicode")
    with pytest.raises(EmptyRound):
        draw_run(Round("none", (), ()))


def test_stops_are_visited_where_the_run_passed_them_and_not_where_it_jumped():
    rnd = comb()
    fixes = [*walked(rnd, to_m=200), *walked(rnd, to_m=1)]
    found = [each.provisional for each in Matcher(rnd).replay(fixes)]
    visited = visited_stops(rnd, [Drawn(*each) for each in zip(fixes, found, strict=True)])
    assert {f"T07-{i}" for i in range(9)} <= visited
    assert not visited & {f"T07-{i}" for i in range(16, 240)}
