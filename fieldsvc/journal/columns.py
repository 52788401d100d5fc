"""What lies in which column: every text, number of a place and blob of the schema, by who could read it in a dump.

A column is sealed with the key of a person, sealed under the master key, a digest, or clear. What is clear names things, states and
counts. The few that name or place a person all the same are listed with the reason why the service could not work otherwise.
A test walks the schema: a column without a line here fails it.
"""

from collections.abc import Mapping
from enum import StrEnum


class Lies(StrEnum):
    """How a column lies in the database."""

    SEALED = "sealed with the key of the person"
    WRAPPED = "sealed under the master key"
    DIGEST = "a digest or a signature"
    CLEAR = "clear: ids, states, counts, addresses as such"
    CLEAR_PERSONAL = "clear, and about a person"


SEALED = frozenset(
    "access_case.sealed address_report.sealed case_file.sealed contact.sealed customer.sealed session.sealed hazard.sealed idea.sealed instruction.sealed "
    "kept_proof.sealed media_want.sealed_key household.sealed notebook.sealed notice.sealed request.sealed sealed.nonce sealed.ciphertext "
    "state.nonce state.body task.sealed".split()
)
WRAPPED = frozenset(
    "store.content_key store.signing_key person_key.wrapped endpoint_secret.sealed endpoint.sealed_headers quarantine.body media.sealed_key "
    "report_month.key".split()
)
DIGESTS = frozenset(
    "account.api_key_sha256 api_key.key_sha256 unwanted_mail.digest audit.carrier_ref audit.chain audit_end.chain audit_head.chain audit_head.signature contact.digest "
    "customer.email_hmac customer.identity_hmac sign_in_code.ticket_sha256 sign_in_code.email_hmac sign_in_code.code_hmac "
    "sign_in_answer.state_sha256 tried.digest "
    "device.token_sha256 device.receipt_hash enrolment.secret_sha256 erasure.digest event.sealed_sha256 event.chain "
    "event_id.content_hmac idempotency.digest media.sha256 media.kept_sha256 media_want.sha256 notice_code.code_hmac quarantine.digest "
    "receipt.previous receipt.signature report_waiting.mark request.target_hmac round.digest session.token_sha256 "
    "sheet_shown.digests sign_in.token_sha256 store.erasures_mac store.signing_public visit_relative.digest".split()
)
_CARRIER = "a carrier's name as the operator writes it: rounds are planned with it; shown at the own site alone"
_REFERENCE = "the orderer's own reference of a person, opaque to everyone else; it names the key"
_PLACE = "a place that somebody reported, or where a carrier was on duty"
CLEAR_PERSONAL: Mapping[str, str] = {
    "api_key.name": "what an account calls its key, for its own people alone",
    "absence.carrier": _CARRIER,
    "absence.kind": "sick, leave, training or other: who covers the round has to know until when, 35 days",
    "account.email": "who signs in is found by it",
    "account.name": "of persons who work with the service",
    "alarm.carrier": _CARRIER,
    "attempt.body_4k": "what a receiver answered, but not to what held sealed data; 30 days, for its own account alone",
    "carrier_of_site.carrier": _CARRIER,
    "desk.contact": "the operator's own telephone and mail",
    "device.carrier": _CARRIER,
    "device.passphrase": "of a phone app that encrypts by itself: the service decrypts with it",
    "enrolment.carrier": _CARRIER,
    "hazard.area": _PLACE,
    "hazard.lat": _PLACE,
    "hazard.lon": _PLACE,
    "legal_hold.person": _REFERENCE,
    "person_key.person": _REFERENCE,
    "roster.carrier": _CARRIER,
    "run.carrier": _CARRIER,
    "sealed.person": _REFERENCE,
    "state.person": _REFERENCE,
    "subject_head.person": _REFERENCE,
    "track.accuracy_m": f"{_PLACE}; only with FIELDSVC_KEEP_TRACKS_DAYS",
    "track.lat": f"{_PLACE}; only with FIELDSVC_KEEP_TRACKS_DAYS",
    "track.lon": f"{_PLACE}; only with FIELDSVC_KEEP_TRACKS_DAYS",
}
_CLEAR = {
    "absence": "site",
    "access_case": "delivery_point_id site state reason asked_by mail_waits_at decision",
    "account": "id kind site parent scopes",
    "address": "id repetition street postcode city citycode lat lon position_kind",
    "address_report": "delivery_point_id state change confidence round_id score decided_by",
    "alarm": "id kind run site stop_id acknowledged_by told assigned_to",
    "alert": "id type level service subject run site told acknowledged_by assigned_to",
    "api_key": "id account scopes created_by",
    "attempt": "endpoint event_id event_ids subject replay error",
    "audit": "actor role action subject reason site",
    "carrier_of_site": "site qualifications",
    "case_file": "id kind subject site account state",
    "certificate": "id account url started_by result body",
    "commune": "citycode city postcodes",
    "contact": "delivery_point",
    "cover_proposal": "id site body marks",
    "cursor": "endpoint",
    "customer": "account",
    "dead_letter": "endpoint event_id subject reason",
    "delivery_point": "id address lat lon round_id class",
    "delivery_point_memory": "delivery_point_id door box",
    "desk": "site name hours zone",
    "device": "id site round_id",
    "endpoint": "id account url types state reason mode format filter sites postcodes rate_per_s on_exhausted schedule description",
    "endpoint_secret": "endpoint",
    "enrolment": "ticket site round_id created_by device replaces",
    "event": "kind type subject account site run public",
    "event_id": "site",
    "hazard": "id kind state site radius_m",
    "household": "id delivery_point_id account letter_id state",
    "idea": "id site status",
    "idempotency": "account key answer",
    "instruction": "run stop_id",
    "kept_proof": "subject copy account site",
    "lane_backlog": "endpoint subject",
    "lane": "endpoint",
    "learned_time": "round_id body",
    "legal_hold": "purpose reference",
    "media": "object media_type device",
    "media_want": "handler subject field purpose site",
    "migration": "name",
    "moved_point": "delivery_point_id mark place address lat lon round_id stops door box",
    "notebook": "delivery_point_id kind",
    "notice": "key template way lang state reason",
    "notice_code": "subject",
    "parked": "endpoint subject reason",
    "pilot": "service sites",
    "progress": "run distance_along_m status",
    "quarantine": "reason device site settled_as",
    "receipt": "device body",
    "replay": "id endpoint mode state starts ends types rate_per_s lists list_event",
    "replay_cursor": "replay",
    "replay_event": "replay",
    "report_cell": "service site account kpi",
    "report_subject": "subject facts counted",
    "report_waiting": "service site account kpi subject",
    "request": "id subject kind state step reason instead other asked_by identity risk_reasons steps sheet_run left_round customer",
    "roster": "round_id qualifications",
    "round": "id site mode name line source area",
    "run": "id round_id site state said risk",
    "run_state": "run matcher distance_along_m status",
    "run_thing": "run thing place",
    "sealed": "purpose",
    "session": "account acr",
    "sheet_shown": "run",
    "sign_in": "account",
    "silence_learned": "run",
    "silent_stretch": "round_id gap_s",
    "site": "id",
    "state": "handler subject",
    "stop": "round_id stop_id delivery_point_id lat lon side address box_lat box_lon",
    "stop_move": "round_id stop_id to_round",
    "store": "place",
    "stream_lane": "stream_made_at",
    "subject_head": "subject account",
    "task": "id service subject account delivery_point round_id requirements order_ref state identity_run moved_to",
    "timer": "handler kind subject key payload",
    "told": "endpoint",
    "track": "run",
    "unwanted_mail": "kind",
    "visit_relative": "visit",
    "window_threat": "task",
}
TYPES = ("text", "text[]", "bytea", "bytea[]", "jsonb", "double precision", "double precision[]", "point", "box")
"""Types of columns that can hold something about a person; the others are ids, times, counts and truths."""


def columns() -> dict[str, Lies]:
    """Map `table.column` to how it lies in the database."""
    found = {f"{table}.{name}": Lies.CLEAR for table, names in _CLEAR.items() for name in names.split()}
    for names, how in ((SEALED, Lies.SEALED), (WRAPPED, Lies.WRAPPED), (DIGESTS, Lies.DIGEST)):
        found |= dict.fromkeys(names, how)
    return found | dict.fromkeys(CLEAR_PERSONAL, Lies.CLEAR_PERSONAL)
