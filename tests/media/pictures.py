"""Pictures for tests: sound ones, and ones that were made to harm."""

import hashlib
import io
import struct
import zlib

from PIL import Image, ImageDraw

GPS, ORIENTATION, MAKE = 0x8825, 0x0112, 0x010F


def photo(width: int = 640, height: int = 480, *, seed: int = 1, exif: bool = False) -> bytes:
    """Make a JPEG with some detail; with `exif` it says where and by what it was taken, and that it lies on its side."""
    drawn = Image.effect_mandelbrot((160, 120), (-2.0 + seed / 100, -1.5, 1.0, 1.5), 40).convert("RGB")
    noise = drawn.resize((width, height))
    more = Image.Exif()
    if exif:
        more[MAKE], more[ORIENTATION] = "SECRET CAMERA", 6
        more[GPS] = {1: "N", 2: (48.0, 56.0, 16.1), 3: "E", 4: (2.0, 9.0, 39.3)}
    target = io.BytesIO()
    noise.save(target, "JPEG", quality=90, exif=more.tobytes(), comment=b"SECRET COMMENT")
    return target.getvalue()


def signature(name: str = "Jeanne Martin") -> bytes:
    """Make a small PNG of lines on nothing, as a signature pad does."""
    drawn = Image.new("RGBA", (400, 160), (0, 0, 0, 0))
    pen = ImageDraw.Draw(drawn)
    points = [(20 + 360 * n / len(name), 40 + ord(letter) % 80) for n, letter in enumerate(name)]
    pen.line(points, fill=(10, 10, 90, 255), width=4)
    target = io.BytesIO()
    drawn.save(target, "PNG")
    return target.getvalue()


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """Make a PNG of few bytes that says it has billions of pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100_000), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def jpeg_bomb() -> bytes:
    """Make a JPEG whose header says that it has 65,500 by 65,500 pixels."""
    sound = photo(64, 64)
    place = sound.index(b"\xff\xc0") + 5
    return sound[:place] + struct.pack(">HH", 65_500, 65_500) + sound[place + 4 :]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
