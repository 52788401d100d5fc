"""The closed lists of `POST /v1/events`: what can become of an event, why it is not taken, and what a phone is warned of.

A test holds them to the code both ways: every code used is here, and every code here is used.
"""

from collections.abc import Mapping
from types import MappingProxyType

STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "accepted": "Committed with fsync on; it will reach its subscribers.",
        "duplicate": "This id was committed before with the same content; nothing more happens.",
        "conflict": "This id is known with other content, or from a device of another site; kept in quarantine.",
        "quarantined": "The credentials are good, the content is not; kept, and the operator is told. The phone may forget it.",
    }
)

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "bad_envelope": "`subject`, `runid` or `source` is no text, or longer than 200 characters.",
        "bad_encoding": "A phone app's body is broken, or packed in a way that cannot be unpacked.",
        "bad_id": "`id` is missing or no UUID.",
        "bad_payload": "`data` is missing, no object, or does not fit the schema of its type.",
        "bad_run": "`runid` is no run id.",
        "bad_specversion": '`specversion` is not "1.0".',
        "bad_time": "`time` is no RFC 3339 time with an offset, in the years 1970 to 2099.",
        "bad_unicode": "A string holds half of a surrogate pair.",
        "conflict": "The id is known with other content, or from a device of another site.",
        "consent_not_dated": "A visited person agrees on a day: the consent of the order says which.",
        "device_lost": "The device was reported lost before this happened.",
        "handler_failed": "A fault in the service's rules; the operator is told and can retry it.",
        "intake_failed": "A fault on the way to the service; the operator is told and can retry it.",
        "mandate_ended": "The mandate under which this was ordered has ended.",
        "mock_position": "A phone app's position is made up, as the phone itself says.",
        "no_consent": "The person did not agree to this, or not for that day.",
        "no_delivery_point": "The service needs a delivery point: none is named, and the place gives none.",
        "no_run": "No run is named, and the device has none on that day.",
        "no_subject": "The payload does not name what it is about.",
        "not_correctable": "A task or a correction cannot be corrected: a task is changed, an event is corrected again.",
        "not_decrypted": "A phone app's message was not sealed with the passphrase of its device.",
        "not_allowed": "Whoever sends this may not say this type.",
        "not_an_object": "A member of the batch is no JSON object.",
        "not_json": "A phone app's body is no JSON.",
        "not_storable": "The database refuses a value of it; the operator is told.",
        "nul_character": "A string holds the character U+0000.",
        "out_of_range": "A number or a text is beyond its limits.",
        "same_run": "A run cannot give work to itself.",
        "subject_taken": "The subject has a task of another account.",
        "too_deep": "The JSON is nested deeper than 20 levels.",
        "too_large": "A phone app's body is over 1 MiB, or holds more than 1,000 messages.",
        "unknown_event": "The event to be corrected is not known, or its story no longer has it.",
        "unknown_task": "No such task was ordered for this subject.",
        "unknown_type": "No service takes this type, or it lacks prefix and version.",
    }
)

WARNINGS: Mapping[str, str] = MappingProxyType(
    {
        "already_closed": "This case was closed before.",
        "already_completed": "This visit was completed before.",
        "already_delivered": "This item was delivered before.",
        "already_voted": "This carrier has voted for this idea.",
        "check_digit": "The item id has the form of UPU S10 or of a GS1 container code, but its check digit is wrong.",
        "clock_suspect": "The phone's clock is more than 5 minutes off, or the time lies in the future or 30 days back.",
        "custody_broken": "No hand-over leads here from where the thing was; a person looks at it.",
        "enough_votes": "This idea has so many votes that more change nothing.",
        "form_not_followed": "An answer that the order asks for is missing or of another kind.",
        "form_version_differs": "The answers follow another version of the form than the order.",
        "implausible_fix": "The position cannot be true and was not used.",
        "implausible_reading": "The meter showed more before, or far less for what is usual there; it is taken as it is.",
        "incomplete": "The visit is not fully attested; `missing` of the public event says what lacks.",
        "mandate_ended": "The mandate under which this was ordered has ended.",
        "missing_proof": "What the order or the kind of item asks for as proof was not taken; `answer.missing` names it.",
        "not_to_addressee": "Registered mail went to somebody who may not take it; a person looks at it.",
        "refuse_at_pick_up": "Goods for the fridge need a qualified box: the pharmacy keeps them.",
        "unexpected_item": "The round does not expect this id; `answer.candidates` names expected ones that are like it.",
        "words_not_neutral": "A need is none of the neutral words that `/v1/services` lists; it is taken, and the visited person may read it.",
        "wrong_door": "The position is far from the planned door; `located.nearest_stop_id` names a closer stop, if any.",
    }
)
