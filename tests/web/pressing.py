"""The forms of a page as a browser without scripts sends them: its own fields as they stand, by the words of a button."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Sheet:
    """One form: where it goes, what it sends as it stands, and what its buttons say."""

    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    says: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sheets: list[Sheet] = []
        self._open: Sheet | None = None
        self._in_button = False
        self._select: tuple[str, bool] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form" and said.get("method") == "post":
            self._open = Sheet(said.get("action", ""))
            self.sheets.append(self._open)
        elif self._open is not None:
            self._take(self._open, tag, said)

    def _take(self, sheet: Sheet, tag: str, said: dict[str, str]) -> None:
        ticks = said.get("type") in ("checkbox", "radio")
        if tag == "input" and (not ticks or "checked" in said):
            sheet.fields.append((said["name"], said.get("value", "")))
        elif tag == "select":
            self._select = said["name"], False
        elif tag == "option" and self._select is not None and ("selected" in said or not self._select[1]):
            sheet.fields = [each for each in sheet.fields if each[0] != self._select[0]]
            sheet.fields.append((self._select[0], said.get("value", "")))
            self._select = self._select[0], True
        elif tag == "textarea":
            sheet.fields.append((said["name"], ""))
        elif tag == "button":
            self._in_button = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "button":
            self._in_button = False

    def handle_data(self, data: str) -> None:
        if self._in_button and self._open is not None:
            self._open.says += data


def form_of(page: str, button: str) -> Sheet:
    """The one form of a page whose button says something."""
    reader = _Reader()
    reader.feed(page)
    (found,) = [each for each in reader.sheets if button in each.says.replace("\xa0", " ")]
    return found
