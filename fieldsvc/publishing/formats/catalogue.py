"""The formats in which an endpoint may receive its events.

An endpoint gets the events that its format `wants`; the others are passed over. Bodies are pure functions of the row, the view
and the rows before it, until a part is erased.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from fieldsvc.journal.reader import Row
from fieldsvc.publishing.formats import cloudevents, epcis, fhir, suivi
from fieldsvc.publishing.formats.telling import Told


class Needs(StrEnum):
    """What a writer must know beside the row."""

    NOTHING = "nothing"
    SUPERSEDED = "superseded"  # the row that it replaces
    SUBJECT = "subject"  # the rows of its subject before it


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `lost` names the fields of a type's public data that it has no place for; of a type it does not cover, none.

    Without `reads_sealed` nothing that is sealed is said in it, whoever looks.
    """

    name: str
    media_type: str
    batch_media_type: str
    covers: Callable[[str], bool]
    write: Callable[[Told], bytes]
    join: Callable[[Sequence[bytes]], bytes]
    lost: Callable[[str], tuple[str, ...]]
    subjects: tuple[str, ...] = ()  # kinds of subjects: `item/`; () for every kind
    needs: Needs = Needs.NOTHING
    reads_sealed: bool = True

    def wants(self, row: Row) -> bool:
        """Tell whether a row can be said in this format."""
        return self.covers(row.type) and (not self.subjects or row.subject.startswith(self.subjects))


def _every(_type: str) -> bool:
    return True


def _none(_type: str) -> tuple[str, ...]:
    return ()


def _event(told: Told) -> bytes:
    return cloudevents.render(told.row, told.opened, told.view)


def _array(bodies: Sequence[bytes]) -> bytes:
    return b"[%s]" % b",".join(bodies)


CLOUDEVENTS = Format(
    name="cloudevents",
    media_type="application/cloudevents+json",
    batch_media_type="application/cloudevents-batch+json",
    covers=_every,
    write=_event,
    join=_array,
    lost=_none,
)
EPCIS = Format(
    name="epcis",
    media_type="application/ld+json",
    batch_media_type="application/ld+json",
    covers=epcis.covers,
    write=epcis.write,
    join=epcis.join,
    lost=epcis.lost,
    subjects=("item/", "pouch/"),
    needs=Needs.SUPERSEDED,
)
FHIR = Format(
    name="fhir",
    media_type="application/fhir+json",
    batch_media_type="application/fhir+json",
    covers=fhir.covers,
    write=fhir.write,
    join=fhir.join,
    lost=fhir.lost,
    subjects=("pouch/", "item/"),
    needs=Needs.SUPERSEDED,
)
SUIVI = Format(
    name="suivi",
    media_type="application/json",
    batch_media_type="application/json",
    covers=suivi.covers,
    write=suivi.write,
    join=suivi.join,
    lost=suivi.lost,
    subjects=("item/",),
    needs=Needs.SUBJECT,
    reads_sealed=False,
)
FORMATS: Mapping[str, Format] = MappingProxyType({each.name: each for each in (CLOUDEVENTS, EPCIS, FHIR, SUIVI)})
