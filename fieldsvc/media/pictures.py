"""Decode a picture and encode it anew: what is kept was written by this process, and holds pixels and nothing else.

The content decides what it is, never its name or media type. EXIF, GPS, thumbnails, colour profiles, comments and whatever is
appended behind the picture end here; the orientation that EXIF gives is applied first.
"""

import hashlib
import io
import struct
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from fieldsvc.media.errors import NotAPicture, TooManyPixels

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = 25_000_000  # decoded, 75 to 100 MB
LONGEST_SIDE = 2_048
DRAWING_PIXELS = 1_048_576  # a small PNG is a drawing: its lines are kept sharp
MEDIA_TYPE, QUALITY = "image/webp", 80
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, UnidentifiedImageError)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True, slots=True)
class Kept:
    """The form of a picture that is kept."""

    data: bytes
    width: int
    height: int
    media_type: str = MEDIA_TYPE

    @property
    def sha256(self) -> bytes:
        """The hash of what is kept, which is not the picture's address."""
        return hashlib.sha256(self.data).digest()


def encode_anew(sent: bytes) -> Kept:
    """Decode what was sent and encode it as WebP, at most 2,048 pixels long; slow, so call it in a thread.

    NotAPicture for what is no JPEG, PNG or WebP or breaks while it is decoded; TooManyPixels before anything is decoded.
    """
    try:
        with Image.open(io.BytesIO(sent), formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise TooManyPixels
            return _encoded(opened)
    except _BOMBS:
        raise TooManyPixels from None
    except _FAULTS:
        raise NotAPicture from None


def _encoded(opened: Image.Image) -> Kept:
    drawing = opened.format == "PNG" and opened.width * opened.height <= DRAWING_PIXELS
    opened.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # a JPEG is decoded no larger than needed
    opened.thumbnail((LONGEST_SIDE, LONGEST_SIDE), reducing_gap=2.0)
    upright = ImageOps.exif_transpose(opened)
    clear = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    plain = Image.frombytes(clear.mode, clear.size, clear.tobytes())  # carries no info of the opened one
    target = io.BytesIO()
    plain.save(target, "WEBP", lossless=drawing, quality=QUALITY, method=4, exif=b"", icc_profile=b"", xmp=b"")
    return Kept(target.getvalue(), plain.width, plain.height)
