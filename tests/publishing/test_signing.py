"""Standard Webhooks: the official vectors, the negative ones, and the official library as a second opinion."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some
from standardwebhooks import Webhook

from fieldsvc.publishing.signing import BadSignature, new_secret, sign, verify

ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SHARED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SHARED_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
PRIVATE_SIGNATURE = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
WRONG = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="


def headers(signature: str = SHARED_SIGNATURE, *, at: int | str = AT, message_id: str = ID) -> dict[str, str]:
    return {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": signature}


def test_the_official_shared_key_vector_is_signed_and_verified():
    assert sign([SHARED], ID, timestamp=AT, body=BODY) == SHARED_SIGNATURE
    assert verify([SHARED], headers(), BODY, now=AT) == ID


def test_the_official_ed25519_vector_is_signed_and_verified():
    assert sign([PRIVATE], ID, timestamp=AT, body=BODY) == PRIVATE_SIGNATURE
    assert verify([PUBLIC], headers(PRIVATE_SIGNATURE), BODY, now=AT) == ID


def test_two_keys_give_two_signatures_and_either_verifies():
    both = sign([SHARED, PRIVATE], ID, timestamp=AT, body=BODY)
    assert both == f"{SHARED_SIGNATURE} {PRIVATE_SIGNATURE}"
    assert verify([SHARED], headers(both), BODY, now=AT) == verify([PUBLIC], headers(both), BODY, now=AT)


def test_a_secret_without_its_prefix_is_the_same_secret():
    bare = SHARED.removeprefix("whsec_")
    assert sign([bare], ID, timestamp=AT, body=BODY) == SHARED_SIGNATURE
    assert verify([bare], headers(), BODY, now=AT) == ID


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!", "whsk_"])
def test_an_empty_or_broken_secret_signs_nothing(secret: str):
    with pytest.raises(ValueError):  # noqa: PT011 - of base64 or ours, either refuses
        sign([secret], ID, timestamp=AT, body=BODY)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_message_without_one_of_the_headers_is_refused(missing: str):
    with pytest.raises(BadSignature):
        verify([SHARED], {name: value for name, value in headers().items() if name != missing}, BODY, now=AT)


@pytest.mark.parametrize(
    "signature",
    ["v1,", WRONG, "v1", "no_comma", "v2," + SHARED_SIGNATURE[3:], "v1a," + SHARED_SIGNATURE[3:], "v1,é", ","],
)
def test_a_message_with_a_wrong_signature_is_refused(signature: str):
    with pytest.raises(BadSignature):
        verify([SHARED], headers(signature), BODY, now=AT)
    with pytest.raises(BadSignature):
        verify([PUBLIC], headers(signature), BODY, now=AT)


def test_one_right_signature_in_a_list_of_wrong_ones_is_enough():
    listed = f"{WRONG} v2,{SHARED_SIGNATURE[3:]} {SHARED_SIGNATURE} {WRONG}"
    assert verify([SHARED], headers(listed), BODY, now=AT) == ID


@pytest.mark.parametrize(("now", "good"), [(AT - 300, True), (AT + 300, True), (AT - 301, False), (AT + 301, False)])
def test_a_timestamp_is_good_for_five_minutes_either_way(now: int, *, good: bool):
    if good:
        assert verify([SHARED], headers(), BODY, now=now) == ID
    else:
        with pytest.raises(BadSignature):
            verify([SHARED], headers(), BODY, now=now)


@pytest.mark.parametrize("at", ["", "x", "-1614265330", "1614265330.0", "1e9", "١٦١٤٢٦٥٣٣٠"])
def test_a_timestamp_that_is_no_whole_number_is_refused(at: str):
    with pytest.raises(BadSignature):
        verify([SHARED], headers(at=at), BODY, now=AT)


@pytest.mark.parametrize("changed", [{"at": AT + 1}, {"message_id": "msg_other"}])
def test_id_and_timestamp_are_signed_too(changed: dict[str, object]):
    with pytest.raises(BadSignature):
        verify([SHARED], headers(**changed), BODY, now=AT)  # type: ignore[arg-type]


def test_an_empty_body_is_signed_and_verified():
    signature = sign([SHARED], ID, timestamp=AT, body=b"")
    assert verify([SHARED], headers(signature), b"", now=AT) == ID


def test_a_new_secret_has_32_random_bytes():
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"))) == 32 for secret in made)


@given(body=some.binary(max_size=200), flipped=some.integers(min_value=0, max_value=10_000))
def test_any_body_is_verified_and_one_flipped_bit_of_it_is_refused(body: bytes, flipped: int):
    signed = headers(sign([SHARED], ID, timestamp=AT, body=body))
    assert verify([SHARED], signed, body, now=AT) == ID
    if body:
        at = flipped % len(body)
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(BadSignature):
            verify([SHARED], signed, changed, now=AT)


def test_the_official_library_verifies_ours():
    secret, now = new_secret(), int(datetime.now(UTC).timestamp())
    signed = headers(sign([secret], ID, timestamp=now, body=BODY), at=now)
    assert Webhook(secret).verify(BODY, signed) == {"test": 2432232314}
