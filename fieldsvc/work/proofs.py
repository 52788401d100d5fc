"""Proofs of delivery: gathered from the journal for who may have one, and signed."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fieldsvc.errors import NotFound
from fieldsvc.journal.rows import FIELD_PART
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.journal.stories import Stories, Story
from fieldsvc.media.keeping import Media
from fieldsvc.sites import EVERYWHERE, NOWHERE, Sites
from fieldsvc.store.database import Database
from fieldsvc.store.viewer import EVERY_SITE, SUBSCRIBER, Viewer, site_for
from fieldsvc.work import kept_proofs, proof_document, proof_pdf
from handlers import item, proof, tasks
from handlers import media as pictures
from handlers.fields import format_time, parse_time
from handlers.story import Fact, Said
from sql import query

HANDED_OVER = (item.DELIVERED.name, item.COLLECTED.name)
PLACE_DECIMALS = 3  # of a degree: 111 m to the north, 73 m to the east at 49°
_SHOWS: Mapping[str, Mapping[str, str]] = {
    "addressee": {"fr": "Remis au destinataire.", "en": "Handed to the addressee."},
    "mandate_holder": {"fr": "Remis au mandataire du destinataire.", "en": "Handed to the holder of a mandate."},
    "household": {"fr": "Remis à une personne du foyer.", "en": "Handed to somebody of the household."},
    "neighbour": {"fr": "Remis à un voisin.", "en": "Handed to a neighbour."},
    "caretaker": {"fr": "Remis au gardien de l'immeuble.", "en": "Handed to the caretaker."},
    "mailbox": {
        "fr": "Déposé dans la boîte aux lettres. Personne n'a signé ; cela ne montre pas qui l'a pris.",
        "en": "Left in the letterbox. Nobody signed; it does not show who took it.",
    },
    "safe_place": {
        "fr": "Déposé au lieu convenu. Personne n'a signé ; cela ne montre pas qui l'a pris.",
        "en": "Left at the agreed place. Nobody signed; it does not show who took it.",
    },
    "counter": {"fr": "Retiré au guichet.", "en": "Collected at the counter."},
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks: an account as the sender, a person of the operator with the sites that they see, or who received it."""

    account: str | None = None
    sites: Sites = NOWHERE
    receives: bool = False  # and has shown so

    @property
    def viewer(self) -> Viewer:
        """For whom it is looked up."""
        if self.account is not None:
            return Viewer(SUBSCRIBER, self.account)
        return Viewer("operator", site=EVERY_SITE if self.receives else site_for(self.sites))

    @property
    def copy(self) -> str:
        """Whose copy it gets."""
        return "addressee" if self.receives else "sender" if self.account is not None else "operator"

    def may(self, story: Story, site: str | None) -> bool:
        """Tell whether the item is theirs: the account's own, or handed over by their site."""
        if self.account is not None:
            return story.account == self.account
        return self.receives or site in self.sites


class Proofs:
    """Makes proofs on demand; nothing of them is stored, but for those that are owed although the person was erased."""

    def __init__(self, database: Database, vault: Vault, media: Media) -> None:
        self._database = database
        self._vault = vault
        self._media = media
        self._stories = Stories(database, vault)
        self._opener = Opener(database, vault)

    @property
    def key(self) -> Ed25519PublicKey:
        """The key that checks them."""
        return self._vault.public_key

    async def as_json(self, item_id: str, reader: Reader) -> bytes:
        """Make the signed JSON of the newest delivery or collection. NotFound if there is none, or it is not theirs."""
        return proof_document.signed(await self._content(item_id, reader), self._vault.sign, self.key)

    async def as_pdf(self, item_id: str, reader: Reader, *, lang: str) -> bytes:
        """Make the signed PDF; drawing it is slow, so it is done in a thread."""
        content = await self._content(item_id, reader)
        return await asyncio.to_thread(make_pdf, content, self._vault.sign, self.key, lang=lang)

    async def keep_owed(self, item_id: str, account: str | None, *, since: datetime) -> int:
        """Keep both copies of the proof of a registered item, if it was handed over since; return how many there are."""
        readers = [Reader(sites=EVERYWHERE), *([Reader(account=account)] if account else [])]
        count = 0
        for reader in readers:
            try:
                content = await self._content_now(item_id, reader)
            except NotFound:
                continue
            at = parse_time(content["handed_over"]["at"])
            if content["item"]["registered"] and at >= since:
                site = content.get("operator", {}).get("site")
                copy = kept_proofs.Copy(reader.copy, account, site, at, content)
                await kept_proofs.keep(self._database, self._vault, f"item/{item_id}", copy)
                count += 1
        return count

    async def _content(self, item_id: str, reader: Reader) -> dict[str, Any]:
        """Write what a proof says now, else what was kept of it when the person was erased. NotFound."""
        try:
            return await self._content_now(item_id, reader)
        except NotFound:
            kept = await kept_proofs.read(self._database, self._opener, f"item/{item_id}", reader.copy)
            theirs = kept is not None and (
                kept.account == reader.account if reader.account is not None else kept.site in reader.sites
            )
            if kept is None or not theirs:
                raise
            return {**kept.content, "issued_at": format_time(datetime.now(UTC))}

    async def _content_now(self, item_id: str, reader: Reader) -> dict[str, Any]:
        now = datetime.now(UTC)
        subject = f"item/{item_id}"
        story = (await self._stories.of(item.HANDLER, [subject], now, viewer=reader.viewer)).get(subject)
        if story is None:
            raise NotFound
        told = next((each for each in reversed(story.said) if each.type in HANDED_OVER), None)
        row = await self._row(UUID(told.fact.id)) if told is not None else None
        if told is None or row is None or not reader.may(story, row["site"]):
            raise NotFound
        content = _content(told, story.facts, row, reader=reader) | {"issued_at": format_time(now)}
        if content["item"]["registered"] and content.get("identity") == "known_to_carrier":
            content["lacks"] += [] if await self._knew(told.fact, subject) else ["known_before"]
        if place := await self._place(told):
            content["place"] = place
        if reader.copy == "operator" or told.data.get("to") not in item.OTHERS:
            content |= await self._pictures(told.fact)
        return content

    async def _row(self, event_id: UUID) -> Any:
        async with self._database.acquire() as connection:
            known = await connection.fetchrow(query("event_id.known"), [event_id])
            return await connection.fetchrow(query("proof.field_row"), event_id, known["day"]) if known else None

    async def _knew(self, fact: Fact, subject: str) -> bool:
        """Tell whether the carrier might vouch for the acceptor: the regular one, who had seen a document there before."""
        async with self._database.acquire() as connection:
            return bool(await connection.fetchval(query("proof.carrier_knew"), fact.run, subject, fact.occurred_at))

    async def _place(self, told: Said) -> dict[str, str] | None:
        """Read where it was, rounded; None where the phone said nothing, or it was forgotten."""
        key = (UUID(told.fact.id), FIELD_PART)
        fix = ((await self._opener.open_parts([key]))[key].get("personal") or {}).get("fix") or {}
        if not isinstance(fix.get("lat"), int | float) or not isinstance(fix.get("lon"), int | float):
            return None
        return {name: f"{fix[name]:.{PLACE_DECIMALS}f}" for name in ("lat", "lon")}

    async def _pictures(self, fact: Fact) -> dict[str, Any]:
        """Fetch the signatures that the fact names; of one that has not come only its name."""
        found: dict[str, Any] = {}
        for name in ("signature", "carrier_signature"):
            sha256 = (fact.data.get("proof") or {}).get(name)
            if not pictures.is_sha256(sha256):
                continue
            picture = await self._media.find(bytes.fromhex(sha256))
            data = await self._media.read(picture) if picture is not None else None
            found[name] = {"sha256": sha256, "state": "proof_pending" if data is None else "proof_complete"}
            if picture is not None and data is not None:
                image = base64.b64encode(data).decode()
                found[name] |= {
                    "kept_sha256": picture.kept_sha256.hex(),
                    "media_type": picture.media_type,
                    "image": image,
                }
        return found


def make_pdf(content: Mapping[str, Any], sign: proof_document.Sign, key: Ed25519PublicKey, *, lang: str) -> bytes:
    """Draw and sign the PDF of a proof's content."""
    named = {**content, "key_id": proof_document.key_id(key)}
    inside = proof_document.signed(content, sign, key)
    return proof_document.signed_pdf(proof_pdf.render(named, inside, lang=lang), sign)


def _content(told: Said, facts: Sequence[Fact], row: Any, *, reader: Reader) -> dict[str, Any]:
    """Write what the proof says without pictures and place: texts, whole numbers, and nothing that the reader may not have."""
    fact, evidence = told.fact, told.fact.data.get("proof") or {}
    item_id, to = fact.data["item_id"], fact.data.get("to", "counter")
    registered, order = item.is_registered(facts, item_id), tasks.order_for(facts, fact)
    until = tasks.window_end(order)
    score = proof.weigh(fact, evidence=evidence, to=fact.data.get("to"), until=until)
    dates = {name: evidence[name] for name in ("presented_on", "handed_over_on") if evidence.get(name)}
    found: dict[str, Any] = {
        "version": 1,
        "copy": reader.copy,
        "item": {"item_id": item_id, "registered": registered},
        "event": {"id": fact.id, "type": told.type, "sha256": row["chain"].hex()},
        "handed_over": {"at": fact.at, "received_at": format_time(row["received_at"]), "to": to, **dates},
        "shows": dict(_SHOWS[to]),
        "score": {
            "score": score["score"],
            **{lang: proof.words(score["factors"], lang) for lang in ("fr", "en")},
        },
        "lacks": proof.lacking(evidence, to=fact.data.get("to")) if registered else [],
    }
    if order is not None and order.data.get("order_ref"):
        found["item"]["order_ref"] = order.data["order_ref"]
    if reader.copy == "operator" or to not in item.OTHERS:
        found |= _acceptance(evidence)
    if reader.copy == "operator":
        found["operator"] = {"run": fact.run, "recorded_from": fact.data.get("recorded_from"), "site": row["site"]}
    return found


def _acceptance(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Say who took it and how that is known: the kind of a document, never its number; of a photo its name."""
    found: dict[str, Any] = {"code_ok": True} if evidence.get("code_ok") else {}
    if pictures.is_sha256(evidence.get("photo")):
        found["photo"] = {"sha256": evidence["photo"]}
    if acceptor := evidence.get("acceptor"):
        found["acceptor"] = {name: acceptor[name] for name in ("surname", "first_name", "capacity")}
    if proof.is_known_to_carrier(evidence):
        found["identity"] = "known_to_carrier"
    elif evidence.get("identity"):
        found["identity"] = {"document_kind": evidence["identity"]["document_kind"]}
    return found
