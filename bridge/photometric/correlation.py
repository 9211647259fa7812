"""What two photographs of one surface, laid over each other, say about its motion: exact gradient of their windowed
correlation, and Gauss-Newton curvature.

In every square window the two are compared by their correlation c (blind to exposure and to a shadow's soft edge). Its
residual e = 2 (1 - c) is the mean squared difference of the normalised windows, so -log likelihood is e / (2 s^2) a
pixel, with the noise s^2 measured by e itself: weight 1 / (e + FLOOR), frozen while the gradient is taken.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

FLOOR = 0.02  # of the residual: photographs of one surface never agree better
UNLIKE, LIKE = 0.2, 0.6  # correlation below which a window says nothing, and from which it says all
FULL = 0.5  # share of a window that must be seen


@njit(inline="always")
def _add(sums, sign, reference, values, change, cosine, y):
    """Adds a row of products to the sums [9, w]."""
    for x in range(reference.shape[1]):
        if cosine[y, x] > 0:
            a, b = np.float64(reference[y, x]), np.float64(values[y, x])
            sums[0, x] += sign
            sums[1, x] += sign * a
            sums[2, x] += sign * b
            sums[3, x] += sign * a * a
            sums[4, x] += sign * b * b
            sums[5, x] += sign * a * b
            d = np.float64(change[y, x])
            sums[6, x] += sign * d
            sums[7, x] += sign * d * d
            sums[8, x] += sign * d * b


@njit(cache=True, nogil=True)
def gather(reference, values, change, cosine, half, noise, their_noise, trust, terms, information, apart, force):
    """Adds to information and force [h, w] what a pair of views says: sums of J^2 and -J r of every pixel, in standard
    deviations of the residual, so that information is 1 / length^2. apart [h, w]: what the windows'
    normalisation takes away of J^2.

    reference, values, change, cosine [h, w]: the reference and what warp() fills; half: windows are (2 half + 1)^2
    pixels; noise, their_noise: variances of the grey values; trust: factor; terms [3, h, w]: scratch.
    Returns the sum of the correlations and their number.
    """
    h, w = reference.shape
    sums = np.zeros((9, w))
    whole = (2 * half + 1) ** 2
    mean_ncc = 0.0
    count = 0
    for y in range(min(half, h)):
        _add(sums, 1.0, reference, values, change, cosine, y)
    for y in range(h):
        if y + half < h:
            _add(sums, 1.0, reference, values, change, cosine, y + half)
        if y - half - 1 >= 0:
            _add(sums, -1.0, reference, values, change, cosine, y - half - 1)
        n = a = b = aa = bb = ab = d = dd = db = 0.0
        for x in range(-half, w):
            if x + half < w:
                q = x + half
                n += sums[0, q]
                a += sums[1, q]
                b += sums[2, q]
                aa += sums[3, q]
                bb += sums[4, q]
                ab += sums[5, q]
                d += sums[6, q]
                dd += sums[7, q]
                db += sums[8, q]
            if x - half - 1 >= 0:
                q = x - half - 1
                n -= sums[0, q]
                a -= sums[1, q]
                b -= sums[2, q]
                aa -= sums[3, q]
                bb -= sums[4, q]
                ab -= sums[5, q]
                d -= sums[6, q]
                dd -= sums[7, q]
                db -= sums[8, q]
            if x < 0:
                continue
            for k in range(3):
                terms[k, y, x] = 0
            if cosine[y, x] <= 0 or n < FULL * whole:
                continue
            inverse = 1 / n
            ma, mb = a * inverse, b * inverse
            va = max(aa * inverse - ma * ma, 0.0) + noise
            vb = max(bb * inverse - mb * mb, 0.0) + their_noise
            both = math.sqrt(va * vb)
            c = (ab * inverse - ma * mb) / both
            mean_ncc += c
            count += 1
            if c <= UNLIKE:
                continue
            weight = trust * cosine[y, x] * min(1.0, (c - UNLIKE) / (LIKE - UNLIKE)) / (2 * (1 - c) + FLOOR) * inverse
            terms[0, y, x] = weight / both
            terms[1, y, x] = weight * c / vb
            terms[2, y, x] = weight * (ma / both - c * mb / vb)
            # all of the window moves together: what its normalisation takes away of the change tells nothing
            md = d * inverse
            along = db * inverse - md * mb
            common = max(dd * inverse - md * md - along * along / vb, 0.0)
            information[y, x] += weight * n * common / vb
            apart[y, x] += weight * n * (dd * inverse - common) / vb
    _spread(reference, values, change, cosine, half, terms, force)
    return mean_ncc, count


@njit(inline="always")
def _add_terms(sums, sign, terms, y):
    for k in range(3):
        for x in range(sums.shape[1]):
            sums[k, x] += sign * terms[k, y, x]


@njit(cache=True, nogil=True)
def _spread(reference, values, change, cosine, half, terms, force):
    """The way back: every pixel collects from all windows that it lies in."""
    h, w = reference.shape
    sums = np.zeros((3, w))
    for y in range(min(half, h)):
        _add_terms(sums, 1.0, terms, y)
    for y in range(h):
        if y + half < h:
            _add_terms(sums, 1.0, terms, y + half)
        if y - half - 1 >= 0:
            _add_terms(sums, -1.0, terms, y - half - 1)
        alpha = beta = gamma = 0.0
        for x in range(-half, w):
            if x + half < w:
                q = x + half
                alpha += sums[0, q]
                beta += sums[1, q]
                gamma += sums[2, q]
            if x - half - 1 >= 0:
                q = x - half - 1
                alpha -= sums[0, q]
                beta -= sums[1, q]
                gamma -= sums[2, q]
            if x < 0 or cosine[y, x] <= 0:
                continue
            d = np.float64(change[y, x])
            force[y, x] += d * (alpha * reference[y, x] - beta * values[y, x] - gamma)
