"""What is taken as a picture, and what of it is kept: pixels and nothing else."""

import io

import pytest
from PIL import Image

from fieldsvc.media.errors import NotAPicture, TooManyPixels
from fieldsvc.media.pictures import LONGEST_SIDE, encode_anew
from tests.media.pictures import jpeg_bomb, photo, png_bomb, signature

HTML = b"<!doctype html><script>alert(document.cookie)</script>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_photo_loses_its_place_its_camera_and_its_comment_and_stands_upright() -> None:
    sent = photo(640, 480, exif=True)
    assert opened(sent).getexif().get_ifd(0x8825)
    kept = encode_anew(sent)
    again = opened(kept.data)
    assert (again.format, again.size) == ("WEBP", (480, 640))
    assert dict(again.getexif()) == {}
    assert not {"exif", "xmp", "icc_profile", "comment"} & again.info.keys()
    assert b"SECRET" not in kept.data
    assert b"EXIF" not in kept.data


def test_a_signature_keeps_every_pixel_and_its_clear_ground() -> None:
    sent = signature()
    kept = encode_anew(sent)
    assert opened(kept.data).convert("RGBA").tobytes() == opened(sent).tobytes()


def test_a_large_photo_is_kept_no_longer_than_two_thousand_pixels() -> None:
    kept = encode_anew(photo(3_000, 1_500))
    assert (kept.width, kept.height) == (LONGEST_SIDE, LONGEST_SIDE // 2)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_kept(mode: str) -> None:
    target = io.BytesIO()
    Image.new(mode, (1, 1)).save(target, "PNG")
    assert (encode_anew(target.getvalue()).width, encode_anew(target.getvalue()).height) == (1, 1)


def test_webp_is_taken_and_of_many_frames_only_the_first() -> None:
    target = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(target, "WEBP", save_all=True, append_images=frames[1:], duration=100)
    assert getattr(opened(encode_anew(target.getvalue()).data), "n_frames", 1) == 1


def test_what_is_hung_behind_a_picture_or_inside_it_is_gone() -> None:
    polyglot = photo(64, 64) + b"PK\x03\x04" + HTML
    assert HTML not in encode_anew(polyglot).data
    hidden = signature()
    hidden = hidden[:33] + b"\x00\x00\x00\x0atEXtSECRET-GPS" + b"\x00\x00\x00\x00" + hidden[33:]
    try:
        kept = encode_anew(hidden).data
    except NotAPicture:  # its checksum is wrong, and decoders may say so
        return
    assert b"SECRET" not in kept


@pytest.mark.parametrize("bomb", [png_bomb(), png_bomb(12_000, 8_000), png_bomb(6_000, 5_000), jpeg_bomb()])
def test_a_pixel_bomb_is_refused_before_it_is_decoded(bomb: bytes) -> None:
    assert len(bomb) < 10_000
    with pytest.raises(TooManyPixels):
        encode_anew(bomb)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x00",
        HTML,
        SVG,
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        b"%PDF-1.7\n",
        photo(64, 64)[:-400],
        photo(64, 64)[:20],
        signature()[:60],
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        b"\x89PNG\r\n\x1a\n" + HTML,
        b"\xff\xd8\xff\xe0" + HTML,
    ],
    ids="empty byte html svg gif pdf cut-jpeg head-of-jpeg cut-png head-of-webp html-as-png html-as-jpeg".split(),
)
def test_what_is_no_sound_picture_is_refused(sent: bytes) -> None:
    with pytest.raises(NotAPicture):
        encode_anew(sent)
