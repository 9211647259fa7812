"""The one door to Pillow: HEIC where pillow-heif is there, up to a gigapixel, and the orientation that EXIF tells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base

from ..errors import BridgeError
from ..files import atomic

MOST_PIXELS = 1 << 30  # OpenCV's own limit too
QUARTERS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}
JPEG_QUALITY = 97
FOREIGN = frozenset({".heic", ".heif", ".hif", ".avif"})  # formats that neither Blender nor COLMAP shows
FAILURES = (OSError, UnidentifiedImageError, SyntaxError, ValueError, KeyError, RuntimeError, MemoryError)

Image.MAX_IMAGE_PIXELS = None  # ours is larger, and has a sentence of its own

with contextlib.suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()


@contextlib.contextmanager
def opened(path: Path, what: str = "") -> Iterator[Image.Image]:
    """An image file for the block, its header read. what: "the image of view 'a'", for the sentence of a refusal.

    Raises BridgeError: image-unreadable (also for what Pillow raises in the block), image-size.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise BridgeError(
                    "image-size",
                    f"{_named(path, what)} has {width} x {height} pixels; up to one gigapixel can be read.",
                    "Export it at half its size.",
                )
            yield image
    except FAILURES as error:
        raise unreadable(path, what, getattr(error, "strerror", None) or str(error)) from None


def unreadable(path: Path, what: str, why: str) -> BridgeError:
    """The refusal of an image that cannot be read, with the reason."""
    sentence = f"{_named(path, what)} cannot be read: {why}."
    return BridgeError("image-unreadable", sentence, "Copy the file again from the camera or export it anew.")


def _named(path: Path, what: str) -> str:
    return f"'{path.name}', {what}," if what else f"The photograph '{path.name}'"


def lies_on_its_side(image: Image.Image) -> bool:
    """Does EXIF say that the stored pixels are to be turned by a quarter?"""
    return image.getexif().get(Base.Orientation) in (5, 6, 7, 8)


def size_of(path: Path, what: str = "") -> tuple[int, int]:
    """(width, height) of the stored pixels, from the header. Raises BridgeError."""
    with opened(path, what) as image:
        return image.size


def turned(path: Path, pixels: np.ndarray, what: str) -> np.ndarray:
    """The file's pixels [H, W, ...] turned as its EXIF says; themselves where it does not turn them by a quarter."""
    with opened(path, what) as image:
        orientation = image.getexif().get(Base.Orientation)
    if orientation not in (5, 6, 7, 8):
        return pixels
    upright = np.swapaxes(pixels, 0, 1)  # 5: mirrored at the diagonal
    if orientation in (6, 7):
        upright = upright[:, ::-1]
    if orientation in (7, 8):
        upright = upright[::-1]
    return np.ascontiguousarray(upright)


def write_upright(source: Path, target: Path, quarters: int = 0) -> None:
    """The photograph with its pixels turned as EXIF says, then by quarters to the left, as the target's ending has it.
    The target may be the source. Raises BridgeError."""
    with opened(source) as image:
        turned = ImageOps.exif_transpose(image)  # takes the tag away too
        profile = image.info.get("icc_profile")
    if quarters:
        turned = turned.transpose(QUARTERS[quarters])
    kind = Image.registered_extensions().get(target.suffix.lower(), "JPEG")
    lossy = {"quality": JPEG_QUALITY}
    if kind == "JPEG":
        lossy["subsampling"] = 0
        turned = turned.convert("RGB") if turned.mode not in ("RGB", "L") else turned
    with atomic(target) as temporary:
        turned.save(temporary, kind, icc_profile=profile, **lossy)
