"""`/suivi/{token}/preuve`: the proof of delivery for who received it, once they typed the code that was sent to them."""

from typing import Any

from aiohttp import web

from fieldsvc.errors import NotFound, TooMany
from fieldsvc.following.proving import CODE, PROOF, Proving, Reachable
from fieldsvc.requests.links import Link
from fieldsvc.web.following import HELP_PHONE, link_of, see_other
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.home import somebody
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.proofs import PROOFS
from fieldsvc.work.proofs import Reader

PROVING = web.AppKey("PROVING", Proving)


async def show(request: web.Request) -> web.Response:
    """Offer the proof, or ask where a code is to be sent, or which code came."""
    link = _of_item(request)
    return await _page(request, link, Form())


async def act(request: web.Request) -> web.Response:
    """Send a code, or check the one that was typed; either leads on to an address of its own."""
    link, form = _of_item(request), await read_form(request)
    try:
        token = await _checked(request, link, form) if link.may(CODE) else await _sent(request, link, form)
    except TooMany as error:
        form.faults["code" if link.may(CODE) else "way"] = "follow.find.too_many"
        return await _page(request, link, form, status=error.status)
    if token is None:
        return await _page(request, link, form, status=422)
    return see_other(f"/suivi/{token}/preuve")


async def download(request: web.Request) -> web.Response:
    """Give the proof as PDF to who typed the code."""
    link = _of_item(request)
    if not link.may(PROOF):
        raise NotFound
    item_id = str(link.item_id)
    body = await request.app[PROOFS].as_pdf(item_id, Reader(receives=True), lang=language_of(request))
    headers = {"Content-Disposition": f'attachment; filename="proof-{item_id.replace(":", "-")}.pdf"'}
    return web.Response(body=body, content_type="application/pdf", headers=headers)


def _of_item(request: web.Request) -> Link:
    link = link_of(request)
    if link.item_id is None:
        raise NotFound
    return link


async def _checked(request: web.Request, link: Link, form: Form) -> str | None:
    code = form.text("code", most=20, missing="follow.proof.code_missing", too_long="follow.proof.code_wrong")
    if form.faults:
        return None
    token = await request.app[PROVING].check(link, code)
    if token is None:
        form.faults["code"] = "follow.proof.code_wrong"
    return token


async def _sent(request: web.Request, link: Link, form: Form) -> str | None:
    ways = await request.app[PROVING].ways(link.subject)
    chosen = form.choice("way", [str(number) for number in range(len(ways))])
    if form.faults:
        return None
    return await request.app[PROVING].send(link, ways[int(chosen)], lang=language_of(request))


async def _page(request: web.Request, link: Link, form: Form, *, status: int = 200) -> web.Response:
    ways: list[Reachable] = [] if link.may(CODE) or link.may(PROOF) else await request.app[PROVING].ways(link.subject)
    values: dict[str, Any] = {
        "choices": [(str(number), each.masked, None, None) for number, each in enumerate(ways)],
        "step": "proof" if link.may(PROOF) else "code" if link.may(CODE) else "ways" if ways else "none",
        "masked": link.notes.get("masked", ""),
    }
    return render(
        request,
        "follow_proof.html",
        status=status,
        person=await somebody(request),
        form=form,
        token=request.match_info["token"],
        number=link.item_id,
        phone=request.app[HELP_PHONE],
        **values,
    )


routes: list[web.RouteDef] = [
    web.get("/suivi/{token}/preuve", show, name="page.suivi_proof"),
    web.post("/suivi/{token}/preuve", act, name="page.suivi_proof"),
    web.get("/suivi/{token}/preuve.pdf", download, name="page.suivi_proof_pdf"),
]
