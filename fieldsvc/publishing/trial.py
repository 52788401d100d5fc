"""The event that a test sends, in the format of the endpoint."""

from dataclasses import dataclass
from datetime import datetime

import orjson

from fieldsvc.ids import uuid7
from fieldsvc.journal.reader import Row
from fieldsvc.publishing.formats.catalogue import FORMATS
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.formats.telling import Origin, Told
from fieldsvc.store.endpoints import Endpoint

TESTED = "endpoint.tested"
EXAMPLE, EXAMPLE_ITEM = "item.delivered", "TEST"


@dataclass(frozen=True, slots=True)
class Trial:
    """One test: the id of the event, what it is about, the body and its media type."""

    name: str
    subject: str
    body: bytes
    media_type: str


def trial(endpoint: Endpoint, origin: Origin, *, now: datetime) -> Trial:
    """Write a test event: `endpoint.tested`, or an item TEST that was delivered where the format can say no other."""
    form = FORMATS[endpoint.format]
    type_, subject, data = TESTED, f"endpoint/{endpoint.id}", {"endpoint": endpoint.id}
    if not form.covers(TESTED):
        type_, subject, data = EXAMPLE, f"item/{EXAMPLE_ITEM}", {"item_id": EXAMPLE_ITEM, "to": "mailbox"}
    public = orjson.dumps({"public": data})
    row = Row(now.date(), 0, 0, uuid7(), 0, type_, subject, 0, endpoint.account, None, None, now, now, public)
    body = form.write(Told(row, {}, View(endpoint.account, thin=endpoint.thin), origin))
    return Trial(row.evt_id, subject, body, form.media_type)
