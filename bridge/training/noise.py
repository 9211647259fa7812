"""Value noise with its gradient, for procedural albedo and relief. Numba kernels, deterministic for a seed."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, inline="always")
def lattice(ix: int, iy: int, iz: int, seed: int) -> float:
    """A hash of one lattice point in 0..1."""
    h = (ix * 374761393 + iy * 668265263 + iz * 1274126177 + seed * 144665) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1103515245) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 668265263) & 0xFFFFFFFF
    return ((h >> 8) & 0xFFFF) / 65535.0


@njit(cache=True, fastmath=True)
def noise3(x: float, y: float, z: float, seed: int):
    """Value noise in -1..1 at one point and its gradient with respect to x, y, z."""
    fx0 = np.floor(x)
    fy0 = np.floor(y)
    fz0 = np.floor(z)
    ix = int(fx0)
    iy = int(fy0)
    iz = int(fz0)
    u = x - fx0
    v = y - fy0
    w = z - fz0
    su = u * u * (3 - 2 * u)
    sv = v * v * (3 - 2 * v)
    sw = w * w * (3 - 2 * w)
    du = 6 * u * (1 - u)
    dv = 6 * v * (1 - v)
    dw = 6 * w * (1 - w)
    a = lattice(ix, iy, iz, seed)
    b = lattice(ix + 1, iy, iz, seed)
    c = lattice(ix, iy + 1, iz, seed)
    d = lattice(ix + 1, iy + 1, iz, seed)
    e = lattice(ix, iy, iz + 1, seed)
    f = lattice(ix + 1, iy, iz + 1, seed)
    g = lattice(ix, iy + 1, iz + 1, seed)
    h = lattice(ix + 1, iy + 1, iz + 1, seed)
    k1 = b - a
    k2 = c - a
    k3 = e - a
    k4 = a - b - c + d
    k5 = a - c - e + g
    k6 = a - b - e + f
    k7 = -a + b + c - d + e - f - g + h
    value = a + k1 * su + k2 * sv + k3 * sw + k4 * su * sv + k5 * sv * sw + k6 * sw * su + k7 * su * sv * sw
    gx = du * (k1 + k4 * sv + k6 * sw + k7 * sv * sw)
    gy = dv * (k2 + k5 * sw + k4 * su + k7 * sw * su)
    gz = dw * (k3 + k6 * su + k5 * sv + k7 * su * sv)
    return 2 * value - 1, 2 * gx, 2 * gy, 2 * gz


@njit(cache=True, fastmath=True)
def _sum_octaves(points, seed, frequencies, amplitudes, out):
    for i in range(points.shape[0]):
        total = 0.0
        for k in range(frequencies.shape[0]):
            f = frequencies[k]
            total += amplitudes[k] * noise3(points[i, 0] * f, points[i, 1] * f, points[i, 2] * f, seed + k)[0]
        out[i] = total


def noise(points: np.ndarray, rng: np.random.Generator, frequencies, amplitudes) -> np.ndarray:
    """Sum of octaves at points [N, 3] -> [N] float32; frequencies in cycles per unit."""
    out = np.empty(len(points), np.float32)
    seed = int(rng.integers(1 << 20))
    _sum_octaves(
        np.ascontiguousarray(points, np.float32),
        seed,
        np.asarray(frequencies, np.float32),
        np.asarray(amplitudes, np.float32),
        out,
    )
    return out
