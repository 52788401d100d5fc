"""The look: one place for every colour, enough contrast in both themes, nothing inline."""

import re
from collections.abc import Mapping

import pytest

from fieldsvc.web.pages.files import FOLDER
from fieldsvc.web.pages.words import FOLDER as PAGES

STYLE, DARK, SUN = ((FOLDER / name).read_text(encoding="utf-8") for name in ("style.css", "dark.css", "sun.css"))
TOKEN = re.compile(r"^\s*--([a-z0-9-]+):\s*(.+);$", re.MULTILINE)
LIGHT_TOKENS: Mapping[str, str] = dict(TOKEN.findall(STYLE))
THEMES = {
    "light": LIGHT_TOKENS,
    "dark": {**LIGHT_TOKENS, **dict(TOKEN.findall(DARK))},
    "sun": {**LIGHT_TOKENS, **dict(TOKEN.findall(SUN))},
}
GROUNDS = ("paper", "surface", "raised")
TEXT = [
    *(
        (text, ground)
        for text in ("ink", "muted", "action", "action-hover", "ok", "warning", "danger")
        for ground in GROUNDS
    ),
    *(("ink", f"{kind}-wash") for kind in ("ok", "warning", "danger", "info")),
    *((kind, f"{kind}-wash") for kind in ("ok", "warning", "danger")),
    ("on-accent", "accent"),
    ("on-action", "action"),
    ("on-action", "action-hover"),
]
CONTROLS = [("edge", ground) for ground in GROUNDS] + [("focus-out", ground) for ground in GROUNDS]


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_the_contrast_of_black_on_white_is_21_and_of_a_known_grey_4_48() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read_and_controls_be_seen(theme: str) -> None:
    tokens = THEMES[theme]
    faint = {pair: round(contrast(tokens[pair[0]], tokens[pair[1]]), 2) for pair in TEXT}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 4.5} == {}
    hidden = {pair: round(contrast(tokens[pair[0]], tokens[pair[1]]), 2) for pair in CONTROLS}
    assert {pair: ratio for pair, ratio in hidden.items() if ratio < 3} == {}


def test_the_design_s_colours_are_those_of_the_light_theme() -> None:
    named = {"paper": "#fbfaf6", "ink": "#1b1f2a", "muted": "#5b6475", "line": "#e3e0d6", "accent": "#ffc629"}
    states = {"action": "#1d4ed8", "ok": "#1a7f4b", "warning": "#b45309", "danger": "#b42318"}
    assert {name: LIGHT_TOKENS[name] for name in (*named, *states)} == named | states


@pytest.mark.parametrize("text", [DARK, SUN], ids=["dark", "sun"])
def test_another_theme_gives_every_colour_anew_and_nothing_else(text: str) -> None:
    colours = {name for name, value in LIGHT_TOKENS.items() if value.startswith("#")}
    assert {name for name, _ in TOKEN.findall(text)} == colours | {"shadow"}


def test_in_the_sun_everything_stands_out_at_7_to_1() -> None:
    tokens = THEMES["sun"]
    faint = {pair: round(contrast(tokens[pair[0]], tokens[pair[1]]), 2) for pair in (*TEXT, *CONTROLS)}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 7} == {}


def test_colours_are_written_in_the_tokens_only() -> None:
    for path in FOLDER.rglob("*.css"):
        if "vendor" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        below = re.sub(r":root \{.*?\n\}", "", text, count=1, flags=re.DOTALL) if path.parent == FOLDER else text
        found = re.findall(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(", below)
        assert [each for each in found if each != "#ffffff"] == [], path.name  # white: the ground of a QR code


def test_every_token_that_a_style_uses_exists() -> None:
    for path in FOLDER.rglob("*.css"):
        if "vendor" not in path.parts:
            used = set(re.findall(r"var\(--([a-z0-9-]+)\)", path.read_text(encoding="utf-8")))
            own = {name for name, _ in TOKEN.findall(path.read_text(encoding="utf-8"))}
            assert used <= LIGHT_TOKENS.keys() | own, path.name


def test_templates_hold_no_styles_no_handlers_and_no_scripts_of_their_own() -> None:
    for path in (PAGES / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<style|\bstyle=|\son[a-z]+=|javascript:|https?://", text), path.name
        for tag in re.findall(r"<script\b[^>]*>", text):
            assert "src=" in tag or 'type="application/json"' in tag, (path.name, tag)
        assert text.count("<h1") <= 2, path.name


def test_the_sheet_of_forms_restyles_nothing_of_the_sheet_of_every_page() -> None:
    rule = re.compile(
        r"^ *([.#a-z][^{}@/;]*?) \{", re.MULTILINE
    )  # both are on each page: the later one would win everywhere
    every, forms = (
        set(rule.findall((FOLDER / name).read_text(encoding="utf-8"))) for name in ("style.css", "forms.css")
    )
    assert len(every) > 100
    assert every & forms == set()
