"""One table from what happened to an item to the words and codes of others: the notice, La Poste's Suivi, the UPU.

Suivi codes as La Poste publishes them for its tracking interface; UPU events are EMSEVT's, where `EDH` and `EDG` and what is
said of a return are read from memory and want checking against the standard. The UPU's numbered reasons of non-delivery are
not here: no source that could be checked has them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Code:
    """What one type of item event is called elsewhere; None where there is no such thing."""

    suivi: str
    upu: str | None
    fr: str
    en: str


@dataclass(frozen=True, slots=True)
class Reason:
    """What one reason of the carrier is called: `printed` is on the notice and said outside, the reason itself stays inside.

    `returned_as` is the cause on the UPU's return label CN 15, should the item go back for it.
    """

    printed: str
    returned_as: str | None


EVENTS: Mapping[str, Code] = MappingProxyType(
    {
        "item.announced": Code("DR1", None, "Annoncé par l'expéditeur", "Announced by the sender"),
        "item.loaded": Code("MD2", "EDG", "En cours de distribution", "Out for delivery"),
        "item.out_for_delivery": Code("MD2", "EDG", "En cours de distribution", "Out for delivery"),
        "item.delivered": Code("DI1", "EMI", "Distribué", "Delivered"),
        "item.delivery_attempted": Code("PB1", "EMH", "Présenté, non distribué", "Delivery attempted"),
        "item.held": Code("AG1", "EDH", "À retirer", "Held for collection"),
        "item.collected": Code("DI1", "EMI", "Retiré", "Collected"),
        "item.returned_to_sender": Code("RE1", "EMH", "Retourné à l'expéditeur", "Returned to the sender"),
    }
)
GOES_BACK = Code("ND1", "EMH", "Ne peut être distribué", "Cannot be delivered")  # an attempt after which it returns
CAME_BACK = Code("DI2", None, "Remis à l'expéditeur", "Handed back to the sender")
REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "absent": Reason("absent", "unclaimed"),
        "refused": Reason("refused", "refused"),
        "too_big": Reason("too_big", "unclaimed"),
        "damaged": Reason("damaged", None),
        "address_incomplete": Reason("address", "insufficient_address"),
        "unknown_at_address": Reason("address", "unknown"),
        "deceased": Reason("address", "deceased"),
        "no_access": Reason("no_access", "unclaimed"),
        "dog": Reason("no_access", "unclaimed"),
        "closed": Reason("no_access", "unclaimed"),
        "weather": Reason("no_access", "unclaimed"),
        "unsafe": Reason("no_access", "unclaimed"),
    }
)
PRINTED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "absent": {"fr": "Destinataire absent", "en": "Nobody was home"},
        "refused": {"fr": "Refusé par le destinataire", "en": "Refused by the addressee"},
        "too_big": {"fr": "Trop volumineux pour la boîte", "en": "Too big for the letterbox"},
        "damaged": {"fr": "Envoi endommagé", "en": "Damaged"},
        "address": {"fr": "Défaut d'adressage", "en": "The address does not lead to the addressee"},
        "no_access": {"fr": "Accès impossible", "en": "The letterbox or the door could not be reached"},
    }
)


def code_of(event_type: str, data: Mapping[str, Any]) -> Code | None:
    """Return what a public item event is called elsewhere; None for one that stays inside, as `item.missing`."""
    if event_type == "item.delivery_attempted" and data.get("next") == "return":
        return GOES_BACK
    return EVENTS.get(event_type)
