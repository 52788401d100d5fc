"""The signs of the phone's page: icons that are drawn by code, and letters that the plainest font of all has."""

import re
from pathlib import Path

from PIL import ImageFont

PAGES = Path("fieldsvc/web/pages")
FOLDER = PAGES / "static/handheld"
SCRIPTS = {path: path.read_text() for path in FOLDER.rglob("*.js")}
NAMED = re.compile(r'\bicon: "([^"]*)"|(?<!el\()\bicon\("([^"]*)"\)|`#/[^`]*`, "([a-z]+)"\]')


def test_every_icon_that_a_script_names_is_drawn_by_code() -> None:
    drawn = set(re.findall(r'^  (\w+): "M', SCRIPTS[FOLDER / "icons.js"], re.MULTILINE))
    named = {name for text in SCRIPTS.values() for found in NAMED.findall(text) for name in found if name}
    kinds = re.search(r"const ICONS = \{(.*)\};", SCRIPTS[FOLDER / "work.js"])
    assert kinds is not None
    named |= set(re.findall(r': "(\w+)"', kinds[1]))
    assert len(named) > 15
    assert named <= drawn


def test_every_other_sign_of_the_page_is_in_a_font_without_pictures() -> None:
    texts = [*SCRIPTS.values(), *(path.read_text() for path in FOLDER.glob("*.css"))]
    texts += [(PAGES / "templates/handheld.html").read_text(), (PAGES / "static/style.css").read_text()]
    texts += [path.read_text() for path in PAGES.glob("words_handheld*.toml")]
    signs = {each for text in texts for each in text if ord(each) > 0x7F and not each.isspace()}
    assert len(signs) > 20
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
        font = ImageFont.truetype(name, 32)
        box = bytes(font.getmask("\uffff"))
        assert [each for each in signs if each.isprintable() and bytes(font.getmask(each)) == box] == [], name
