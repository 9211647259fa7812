"""Lens models of other programs as the one we keep: OpenCV's radial-tangential (rational) distortion.

In all of these a point of the pinhole image at (x, y) = (X/Z, Y/Z), r^2 = x^2 + y^2, is moved before K is applied:

    OpenCV      x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2)
                y' = y (same)                                                          + p1 (r^2 + 2 y^2) + 2 p2 x y
    polynomial  factor 1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8 (Metashape, RealityScan, nerfstudio): k4 is NOT OpenCV's
    fisheye     factor q / r with a = atan r and q = a (1 + k1 a^2 + k2 a^4 + k3 a^6 + k4 a^8) (OpenCV and COLMAP)
    division    r = r' / (1 + k r'^2) (COLMAP)

What OpenCV's form cannot say exactly is fitted by its rational factor over the image, and refused by name where the
fit is off by more than FIT_TOLERANCE pixels anywhere in it. So a fisheye lens of moderate view is right, and a 180
degree one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..capture.cameras import Distortion
from ..errors import BridgeError

FIT_TOLERANCE = 0.01  # pixels
SAMPLES = 2000
STEEPEST = np.tan(np.radians(80.0))  # a ray further from the axis has no place in a pinhole image

Size = tuple[int, int]


def polynomial(
    k: Sequence[float], tangential: tuple[float, float], K: np.ndarray, size: Size, where: str
) -> Distortion | None:
    """Radial polynomial of up to four terms and OpenCV's tangential terms p1 and p2, in its order."""
    p1, p2 = tangential
    k1, k2, k3, k4 = (*k, 0.0, 0.0, 0.0, 0.0)[:4]
    if not k4:
        return plain(Distortion(k1=k1, k2=k2, p1=p1, p2=p2, k3=k3))

    def factor(r: np.ndarray) -> np.ndarray:
        s = r * r
        return 1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))

    return replace(_fitted(factor, K, size, where, "radial polynomial with k4"), p1=p1, p2=p2)


def fisheye(k: Sequence[float], K: np.ndarray, size: Size, where: str, model: str) -> Distortion:
    """Equidistant lens with an odd polynomial of up to four terms."""
    k1, k2, k3, k4 = (*k, 0.0, 0.0, 0.0, 0.0)[:4]

    def factor(r: np.ndarray) -> np.ndarray:
        angle = np.arctan(r)
        s = angle * angle
        bent = angle * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4))))
        return np.divide(bent, r, out=np.ones_like(r), where=r > 0)

    return _fitted(factor, K, size, where, model)


def division(k: float, K: np.ndarray, size: Size, where: str, model: str) -> Distortion | None:
    """One-parameter division model: r = r' / (1 + k r'^2), solved for r'."""
    if not k:
        return None

    def factor(r: np.ndarray) -> np.ndarray:
        root = 1 - 4 * k * r * r
        # beyond the root's zero no point of the image corresponds: NaN ends the range of the fit
        with np.errstate(invalid="ignore"):
            return 2 / (1 + np.sqrt(root))

    return _fitted(factor, K, size, where, model)


def plain(distortion: Distortion) -> Distortion | None:
    """None for a distortion that does nothing."""
    return distortion if distortion.coefficients().any() else None


def _fitted(
    factor: Callable[[np.ndarray], np.ndarray], K: np.ndarray, size: Size, where: str, model: str
) -> Distortion:
    """The rational factor closest to another one over all of the image. Raises BridgeError camera-model."""
    if min(K[0, 0], K[1, 1]) < 1:
        raise BridgeError("camera-model", f"{where} has a focal length of less than a pixel.", "Export it again.")
    r = _radii(factor, K, size)
    f = factor(r)
    s = r * r / (r[-1] * r[-1])
    powers = np.stack([s, s**2, s**3], axis=1)
    weight = np.maximum(r, r[1])
    reached = r * f <= _reach(K, size)
    pixels = r * max(K[0, 0], K[1, 1])

    def error(x: np.ndarray) -> np.ndarray:
        below = 1 + powers @ x[3:]
        return np.where(below > 0.01, np.abs((1 + powers @ x[:3]) / below - f) * pixels, np.inf)[reached]

    best = np.zeros(6)
    # of the denominator: a higher order may spend itself on a pole and a root that all but cancel
    for order in (3, 2, 1):
        x = np.zeros(6)
        for _ in range(12):  # Sanathanan-Koerner: the linear problem weighted with the last denominator
            below = 1 + powers @ x[3:]
            scale = (weight / np.where(np.abs(below) < 1e-6, 1e-6, below))[:, None]
            system = scale * np.hstack([powers, -f[:, None] * powers[:, :order]])
            x[: 3 + order], *_ = np.linalg.lstsq(system, scale[:, 0] * (f - 1), None)
            if error(x).max() < error(best).max():  # it may pass by the best
                best = x.copy()
    if not error(best).max() <= FIT_TOLERANCE:
        raise BridgeError(
            "camera-model",
            f"{where} has the lens model {model}, which bends this image more than the lens model of a capture can "
            "follow.",
            "Undistort the images in the program that calibrated them, and import the undistorted cameras.",
        )
    a, b = best[:3], best[3:]
    a, b = (c / r[-1] ** np.array([2, 4, 6]) for c in (a, b))
    return Distortion(k1=a[0], k2=a[1], k3=a[2], k4=b[0], k5=b[1], k6=b[2])


def _reach(K: np.ndarray, size: Size) -> float:
    """Radius of the corner furthest from the axis, in the plane Z = 1."""
    width, height = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1.0]]) @ np.linalg.inv(K).T
    return float(np.linalg.norm(corners[:, :2], axis=1).max())


def _radii(factor: Callable[[np.ndarray], np.ndarray], K: np.ndarray, size: Size) -> np.ndarray:
    """Radii of the pinhole image from 0 to where both it and the distorted image end, or the model folds over."""
    reach = _reach(K, size)
    # logarithmic beyond 1: a fisheye's corner may be far out in the pinhole image
    r = np.concatenate([np.linspace(0, 1, SAMPLES, endpoint=False), np.geomspace(1, STEEPEST, SAMPLES)])
    bent = r * factor(r)
    with np.errstate(invalid="ignore"):
        good = np.concatenate([[True], np.diff(bent) > 0]) & (np.minimum(bent, r) <= reach)
    last = len(r) - 1 if good.all() else int(np.argmin(good))
    if not bent[last] > bent[last - 1]:  # folded, or no number: the sample before is the last that an image shows
        last -= 1
    return np.linspace(0, r[max(last, 2)], SAMPLES)
