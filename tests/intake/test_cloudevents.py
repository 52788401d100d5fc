"""Telling the members of an upload apart."""

from typing import Any
from uuid import UUID

import orjson
import pytest

from fieldsvc.errors import NotJson, TooLarge, UnsupportedMedia
from fieldsvc.intake.formats.cloudevents import MEDIA_TYPES, Sent, decode, decode_header_time
from handlers.fields import format_time

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44",
    "source": "/devices/d-0042",
    "type": "fieldsvc.medication.delivered.v1",
    "subject": "pouch/P-5521",
    "time": "2026-11-21T09:42:17.120Z",
    "runid": "run-2026-11-21-T07",
    "data": {"pouch_id": "P-5521"},
}


def told(value: Any, **more: Any) -> list[Sent]:
    asked = {"media_type": "application/json", "charset": None, "most": 500, **more}
    return decode(
        value if isinstance(value, bytes) else orjson.dumps(value),
        asked.pop("media_type"),
        asked.pop("charset"),
        **asked,
    )


def test_a_sound_event_comes_out_whole() -> None:
    (sent,) = told(EVENT)
    assert sent.reason is None
    assert (sent.id, sent.sent_id) == (UUID(EVENT["id"]), EVENT["id"])
    assert (sent.type, sent.data, sent.run) == ("medication.delivered", EVENT["data"], EVENT["runid"])
    assert (sent.subject, sent.source, sent.said_time) == (EVENT["subject"], EVENT["source"], EVENT["time"])
    assert sent.time is not None
    assert format_time(sent.time) == EVENT["time"]
    assert orjson.loads(sent.raw) == EVENT


@pytest.mark.parametrize("media_type", sorted(MEDIA_TYPES))
@pytest.mark.parametrize("charset", [None, "utf-8", "UTF8", "us-ascii"])
def test_every_media_type_holds_one_or_several(media_type: str, charset: str | None) -> None:
    assert len(told(EVENT, media_type=media_type, charset=charset)) == 1
    assert len(told([EVENT, EVENT], media_type=media_type, charset=charset)) == 2
    assert told([], media_type=media_type, charset=charset) == []


def test_what_refuses_the_whole_upload() -> None:
    for media_type, charset in (
        ("text/plain", None),
        ("", None),
        ("application/json", "utf-16"),
        ("application/json", "latin-1"),
    ):
        with pytest.raises(UnsupportedMedia):
            told(EVENT, media_type=media_type, charset=charset)
    with pytest.raises(TooLarge):
        told([EVENT] * 4, most=3)
    with pytest.raises(NotJson):
        told(b'{"id":NaN}')


@pytest.mark.parametrize("value", [5, None, True, "x", 1.5])
def test_a_body_that_is_no_object_is_one_member_that_is_none(value: Any) -> None:
    (sent,) = told(value)
    assert (sent.sent_id, sent.reason) == (None, "not_an_object")
    assert [each.reason for each in told([value, [], EVENT])] == ["not_an_object", "not_an_object", None]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "bad_id"),
        ({"id": f"{EVENT['id']}\n"}, "bad_id"),
        ({"id": EVENT["id"].replace("-", "")}, "bad_id"),
        ({"specversion": 1.0}, "bad_specversion"),
        ({"type": "medication.delivered"}, "unknown_type"),
        ({"type": "fieldsvc.medication.delivered.v2"}, "unknown_type"),
        ({"type": 7}, "unknown_type"),
        ({"data": []}, "bad_payload"),
        ({"data_base64": "e30="}, "bad_payload"),
        ({"subject": "x" * 201}, "bad_envelope"),
        ({"source": {}}, "bad_envelope"),
        ({"runid": "run 7"}, "bad_run"),
        ({"runid": "run-2026-11-21-T07\n"}, "bad_run"),
        ({"time": "yesterday"}, "bad_time"),
        ({"time": 1700000000}, "bad_time"),
        ({"more": "\x00"}, "nul_character"),
        ({"more": 2**63}, "out_of_range"),
    ],
)
def test_a_faulty_member_fails_alone_with_its_reason(change: dict[str, Any], reason: str) -> None:
    found = told([EVENT, EVENT | change, EVENT])
    assert [each.reason for each in found] == [None, reason, None]
    assert found[1].sent_id == (None if reason == "bad_id" else EVENT["id"])
    assert orjson.loads(found[1].raw) == EVENT | change


def test_without_time_subject_source_and_run_an_event_is_sound() -> None:
    (sent,) = told({key: EVENT[key] for key in ("specversion", "id", "type", "data")})
    assert (sent.reason, sent.time, sent.subject, sent.source, sent.run) == (None, None, None, None, None)


def test_the_same_content_is_type_subject_time_and_data_and_nothing_else() -> None:
    same = [
        EVENT | {"id": "00000000-0000-4000-8000-000000000000", "source": "/x", "runid": "r", "more": 1},
        dict(reversed(EVENT.items())),
    ]
    other = [EVENT | {name: value} for name, value in (("type", "fieldsvc.medication.returned.v1"), ("subject", "pouch/P"), ("time", "2026-11-21T09:42:17.121Z"), ("data", {"pouch_id": "Q"}))]  # fmt: skip
    content = told(EVENT)[0].content
    assert {sent.content for sent in told(same)} == {content}
    assert content not in {sent.content for sent in told(other)}
    assert told({key: value for key, value in EVENT.items() if key != "subject"})[0].content != content


def test_a_header_of_when_it_was_sent_is_a_time_or_nothing() -> None:
    assert decode_header_time(None) is None
    assert decode_header_time("nonsense") is None
    moment = decode_header_time("2026-11-21T09:42:17.120+01:00")
    assert moment is not None
    assert format_time(moment) == "2026-11-21T08:42:17.120Z"
