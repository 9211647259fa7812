"""PNG files that say what their numbers mean: sRGB for colours, nothing for data."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from ..files import atomic

COMPRESSION = 2  # of 9: an 8k map in seconds
HEADER_END = 8 + 25  # the signature and the IHDR chunk
PERCEPTUAL = 0  # the sRGB chunk's rendering intent


def write_png(path: Path, image: np.ndarray, srgb: bool) -> None:
    """image [H, W], [H, W, 3] uint8 or uint16, colours in the order R G B. srgb: tag it as sRGB colours."""
    ordered = image[..., ::-1] if image.ndim == 3 else image
    ok, encoded = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])
    if not ok:
        raise ValueError(f"an image of {image.shape} {image.dtype} cannot be written as PNG")
    data = encoded.tobytes()
    tag = _chunk(b"sRGB", bytes([PERCEPTUAL])) if srgb else b""
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(data[:HEADER_END])
        file.write(tag)
        file.write(memoryview(data)[HEADER_END:])


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
