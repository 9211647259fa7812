"""Image files to arrays, by what they hold and not by what they are called."""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from . import pillow
from .pillow import unreadable

STARTS = (  # of a file -> what it is; OpenCV tells the rest apart itself
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\x76\x2f\x31\x01", "EXR"),
    (b"#?", "HDR"),
    (b"8BPS", "PSD"),
    (b"DDS ", "DDS"),
    (b"SDPX", "DPX"),
    (b"XPDS", "DPX"),
    (b"\x80\x2a\x5f\xd7", "Cineon"),
    (b"%PDF", "PDF"),
)
THROUGH_PILLOW = ("JPEG", "HEIF", "PSD", "DDS", "TGA")
EXR_COLOURS = ("RGBA", "RGB", "Y")  # channel groups OpenEXR hands out
CUT = "has no end marker, but all of its rows are there"


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image as it is stored, BGR(A) or grey, of any number type; rows from the top."""

    values: np.ndarray  # [H, W] or [H, W, 3 or 4]
    kind: str  # JPEG, PNG, EXR, HDR ...; empty: another that OpenCV reads
    remark: str = ""  # what is odd about the file although it can be read


def decode(path: Path, what: str, most_pixels: int | None = None, flags: int = cv2.IMREAD_UNCHANGED) -> Decoded:
    """The image of a file. what: "the image of view 'a'", for the sentence of a refusal.

    most_pixels: a JPEG of more comes at a half, a quarter or an eighth of its size, of no less than a quarter of it.
    Raises BridgeError: image-unreadable, image-size.
    """
    try:
        with path.open("rb") as file:
            kind = _kind(file.read(32), path.suffix.lower())
    except OSError as error:
        raise unreadable(path, what, error.strerror or str(error)) from None
    if kind == "EXR":
        return Decoded(_exr(path, what), kind)
    if kind == "JPEG":
        return _jpeg(path, what, most_pixels)
    if kind in THROUGH_PILLOW:
        with pillow.opened(path, what) as image:
            return Decoded(_array(image), kind)
    if kind in ("DPX", "Cineon", "PDF"):
        raise unreadable(path, what, f"it is a {kind} file; export it as JPEG, PNG or TIFF")
    data, remark = path.read_bytes(), ""
    if kind == "PNG":
        data, remark = _whole_png(data, path, what)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION) if data else None
    if pixels is None:
        raise unreadable(path, what, "it is truncated or no image")
    return Decoded(pixels, kind, remark)


def _kind(start: bytes, suffix: str) -> str:
    for magic, kind in STARTS:
        if start.startswith(magic):
            return kind
    if start[4:8] == b"ftyp":
        return "HEIF"
    return "TGA" if suffix == ".tga" else ""  # the one format without a mark


def _array(image: Image.Image) -> np.ndarray:
    """BGR(A) or grey, uint8 or uint16, of what Pillow decodes."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    mode = "RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"
    values = np.asarray(image.convert(mode))
    return values[..., [2, 1, 0, 3][: values.shape[2]]]


def _jpeg(path: Path, what: str, most_pixels: int | None) -> Decoded:
    # Pillow, because OpenCV silently fills the missing half of a truncated JPEG with grey

    def values(source: Path | io.BytesIO) -> np.ndarray:
        with Image.open(source) as image:
            scale = _reduction(image.size, most_pixels)
            if scale > 1:
                image.draft("RGB", (image.width // scale, image.height // scale))
            return np.asarray(image.convert("RGB"))[..., ::-1]

    with pillow.opened(path, what):
        pass
    try:
        return Decoded(values(path), "JPEG")
    except pillow.FAILURES as error:
        found = _without_end(path.read_bytes(), values) if "truncated" in str(error) else None
        if found is None:
            raise unreadable(path, what, str(error)) from None
        return Decoded(found, "JPEG", CUT)


def _reduction(size: tuple[int, int], most_pixels: int | None) -> int:
    scale = 1
    while most_pixels and scale < 8 and size[0] * size[1] / scale**2 > most_pixels:
        scale *= 2
    return scale


def _without_end(data: bytes, values: Callable[[io.BytesIO], np.ndarray]) -> np.ndarray | None:
    """The pixels of a JPEG that lacks nothing but its end marker.

    Noise added behind the last row is ignored; where rows are missing it is decoded as such, and different noise makes
    different pictures.
    """
    first = None
    for seed in range(4):
        noise = np.random.default_rng(seed).integers(0, 255, 4096, np.uint8).tobytes()
        try:
            picture = values(io.BytesIO(data + noise + b"\xff\xd9"))
        except pillow.FAILURES:
            return None
        if first is not None and not np.array_equal(first, picture):
            return None
        first = picture
    return first


def _whole_png(data: bytes, path: Path, what: str) -> tuple[bytes, str]:
    """The chunks up to the end marker; without it the file may still hold all rows."""
    at, pixels = 8, zlib.decompressobj()
    stored: list[bytes] = []
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IEND":
            return data[: at + 12], ""
        if at + 12 + length > len(data):
            break
        if kind == b"IDAT":
            stored.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    with contextlib.suppress(zlib.error):
        for piece in stored:
            pixels.decompress(piece)
    if not pixels.eof:
        raise unreadable(path, what, "the file ends too early")
    return data[:at] + b"\0\0\0\0IEND\xaeB`\x82", CUT


def _exr(path: Path, what: str) -> np.ndarray:  # BGR(A) or grey, float32, as OpenCV orders channels
    import OpenEXR  # its own reader: OpenCV 5 is built without one

    try:
        with OpenEXR.File(str(path)) as file:
            layers = {name: channel.pixels.astype(np.float32) for name, channel in file.channels().items()}
    except Exception as error:  # it raises whatever its C++ throws
        raise unreadable(path, what, str(error)) from None
    name = next((name for name in EXR_COLOURS if name in layers), None)
    if name is None:
        raise unreadable(path, what, f"it has no colour layer at its top level, only {', '.join(layers)}")
    pixels = layers[name]
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
