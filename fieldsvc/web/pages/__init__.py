"""The pages for people: templates, words, styles, and `render`, which puts them together.

`render` is imported when it is first asked for: `make` runs `fieldsvc.web.pages.assets` each time, and that needs no server.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fieldsvc.web.pages.page import render as render

__all__ = ["render"]


def __getattr__(name: str) -> object:
    if name == "render":
        from fieldsvc.web.pages.page import render  # noqa: PLC0415 - see above

        return render
    raise AttributeError(name)
