"""Messages of requests on pages: the field that they are typed in, and how they are told."""

from aiohttp import web

from fieldsvc.requests.messages import LONGEST, Thread, plain
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.forms import LONGEST as LONGEST_FIELD
from fieldsvc.web.forms import Form
from fieldsvc.web.pages.moments import moment_words
from fieldsvc.web.pages.page import language_of


def message_of(form: Form) -> str:
    """Take the message of a form; an empty or a long one is a fault."""
    text = plain(form.text("message", most=LONGEST_FIELD))
    if not text:
        form.faults.setdefault("message", "change.message.missing")
    if len(text) > LONGEST:
        form.faults.setdefault("message", "change.message.too_long")
    return text


def told(request: web.Request, thread: Thread) -> list[dict[str, str]]:
    """Say who wrote what and when, in local time."""
    lang, zone = language_of(request), request.app[ACCESS].settings.zone
    return [{"by": each.by, "at": moment_words(each.at, zone, lang), "text": each.text} for each in thread.messages]
