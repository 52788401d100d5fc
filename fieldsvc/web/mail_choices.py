"""`/mail/{token}`: no more mails of a kind. The link shows one button; a mail program posts to it by itself (RFC 8058)."""

from aiohttp import web

from fieldsvc.errors import BadRequest
from fieldsvc.notices.choices import KINDS, Choice
from fieldsvc.web.account_keys import CHOICES
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of


async def show_choice(request: web.Request) -> web.Response:
    """Show which mails a link is about, without changing anything: scanners open links."""
    choice = request.app[CHOICES].read(request.match_info["token"])
    if choice is None:
        return render(request, "mail_choice.html", status=410, kind="", declined=False)
    return await _page(request, choice)


async def choose(request: web.Request) -> web.Response:
    """Decline a kind of mail, or want it again."""
    choices = request.app[CHOICES]
    choice = choices.read(request.match_info["token"])
    if choice is None:
        return render(request, "mail_choice.html", status=410, kind="", declined=False)
    try:
        sent = await request.post()
    except (ValueError, LookupError) as error:
        raise BadRequest("The form cannot be read.") from error
    await (choices.want(choice) if sent.get("again") == "yes" else choices.decline(choice))
    return await _page(request, choice)


async def _page(request: web.Request, choice: Choice) -> web.Response:
    declined = await request.app[CHOICES].is_declined(choice)
    kind = KINDS[choice.kind][language_of(request)]
    return render(request, "mail_choice.html", kind=kind, declined=declined)


routes: list[web.RouteDef] = [
    web.get("/mail/{token}", show_choice, name="page.mail_choices_show_choice"),
    web.post("/mail/{token}", choose, name="page.mail_choices_show_choice"),
]
