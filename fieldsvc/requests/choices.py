"""Which changes an item allows now, and why another does not: said before anybody fills anything in."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from fieldsvc.requests.body import ChangeBody
from fieldsvc.requests.knowing import Knowledge, Subject
from fieldsvc.store import request as store
from handlers import products
from handlers.item_ends import FINAL

ONLINE = ("other_date", "second_presentation", "neighbour", "safe_place", "pickup_point", "hold", "proxy")
REDIRECT = "redirect"  # chosen like a kind; whether it is one for a time or for good is asked later
_OUT_FOR = timedelta(hours=18)


@dataclass(frozen=True, slots=True)
class Choice:
    """One kind of change; `why` names what stands against it, in the words of `change_notices.REASONS`."""

    kind: str
    why: str | None
    cutoff: str
    needs: str  # how sure we must be of who asks


@dataclass(frozen=True, slots=True)
class Situation:
    """An item as whoever changes something about it must know it; never where its carrier is."""

    product: str
    day: date | None
    site: str | None
    choices: tuple[Choice, ...]
    is_out: bool
    is_near: bool
    cutoff_stops: int


class Choices:
    """Looks at an item; decides nothing: what is possible now is decided anew when it is asked for."""

    def __init__(self, knowledge: Knowledge, *, cutoff_stops: int) -> None:
        self._known = knowledge
        self._cutoff_stops = cutoff_stops

    async def postcode(self, item_id: str) -> str | None:
        """Find the postcode of an item, for whoever holds a link that was made for changing it."""
        subject = await self._known.subject(ChangeBody.model_construct(kind="neighbour", item_id=item_id))
        return await self._known.postcode(subject) if subject is not None else None

    async def of_item(self, item_id: str, *, but: str | None = None) -> Situation | None:
        """Tell what may be chosen for an item, one request on it left aside; None if nothing of it is planned."""
        asked = ChangeBody.model_construct(kind="neighbour", item_id=item_id)
        subject = await self._known.subject(asked)
        if subject is None or subject.item is None:
            return None
        now = datetime.now(UTC)
        known = await self._known.of_item(subject.item, now) if subject.product != "pouch" else {}
        held = await store.held_of_item(self._known.database, subject.name, but)
        ended, loaded_at, stops = known.get("ended"), known.get("loaded_at"), known.get("stops_away")
        is_over = bool(ended) and str(ended).partition(":")[0] in FINAL
        is_out = loaded_at is not None and now - loaded_at < _OUT_FOR
        is_near = stops is not None and stops <= self._cutoff_stops

        def against(kind: str) -> str | None:
            rule = products.refusal(kind, subject.name, subject.product)
            if rule or is_over:
                return rule.name if rule else "already_ended"
            if any(products.rivals(kind, other) for other in held):
                return "conflict"
            behind = products.KINDS[kind].cutoff == products.LOADED
            return "already_loaded" if behind and is_out else "carrier_is_near" if not behind and is_near else None

        choices = [Choice(kind, against(kind), products.KINDS[kind].cutoff, _needed(kind, subject)) for kind in ONLINE]
        redirect = Choice(REDIRECT, None, products.LOADED, "substantial")
        return Situation(
            subject.product,
            subject.item.day,
            subject.site,
            (*choices, redirect) if subject.point is not None and subject.product != "pouch" else tuple(choices),
            is_out,
            is_near,
            self._cutoff_stops,
        )


def _needed(kind: str, subject: Subject) -> str:
    return products.identity_needed(kind, subject.name, subject.product)
