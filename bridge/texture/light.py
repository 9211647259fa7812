"""Between stored colours and light: the sRGB curve, both ways, for arrays and for kernels."""

from __future__ import annotations

import numpy as np
from numba import njit

TABLE = 4096


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear light (IEC 61966-2-1)."""
    srgb = np.clip(srgb, 0, 1)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB; values beyond 1 go on along the curve, so that nothing is lost before the end."""
    linear = np.maximum(linear, 0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def grey(colors: np.ndarray) -> np.ndarray:  # [..., 3] -> [...]
    """The mean of the three channels; numpy's own is slow along so short an axis."""
    return (colors[..., 0] + colors[..., 1] + colors[..., 2]) * colors.dtype.type(1 / 3)


DECODE = to_linear(np.arange(TABLE + 1) / TABLE)
ENCODE_SQRT = to_srgb(
    (2 * np.arange(2 * TABLE + 1) / (2 * TABLE)) ** 2
)  # over the square root, where the curve is flat


@njit(inline="always")
def tone(value, gain, decode, encode):
    """sRGB value -> sRGB of its light times gain, by tables (0 to 4 times white)."""
    place = min(max(value, np.float32(0)), np.float32(1)) * np.float32(decode.shape[0] - 1)
    k = min(int(place), decode.shape[0] - 2)
    part = place - np.float32(k)
    light = (decode[k] + part * (decode[k + 1] - decode[k])) * gain
    place = min(np.sqrt(light), np.float32(2)) * np.float32((encode.shape[0] - 1) / 2)
    k = min(int(place), encode.shape[0] - 2)
    part = place - np.float32(k)
    return encode[k] + part * (encode[k + 1] - encode[k])
