"""Do points that look alike lie on each other's epipolar lines? Features of the heads, matched between near views.

SIFT (Lowe 2004), ratio test both ways, first-order (Sampson) distance to the given geometry. A pair of views says
something only where its matches agree among themselves: a fundamental matrix fitted to them robustly has to explain
enough of them. If it does and the cameras do not, one of the two cameras (or photographs) is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from weakref import proxy

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..mattes.silhouettes import BoundingSphere
from ..side_by_side import side_by_side

FEATURES = 1500  # a view
HEAD_PIXELS = 300.0  # half the head's longer side in the images that features are taken from
RATIO = 0.8
NEAR = np.radians(65.0)  # views further apart than this share too few features
NEIGHBOURS = 4  # each view is compared with so many
TOLERANCE = 0.012  # of the head's radius: a match this far from its epipolar line still fits
ENOUGH = 14  # matches that a fitted geometry must explain before a pair says anything
KEPT = 0.6  # share of those that the cameras must explain too
RECENT = 512  # pairs of cameras whose matches' distances are remembered


@dataclass(frozen=True)
class Pair:
    """Two views and how many of their matches which geometry explains."""

    a: int
    b: int
    fitted: int  # by the fundamental matrix that suits the matches best
    given: int  # of these, by the cameras

    @property
    def contradicts(self) -> bool:
        return self.fitted >= ENOUGH and self.given < (1 - KEPT) * self.fitted

    @property
    def confirms(self) -> bool:
        return self.fitted >= ENOUGH and self.given >= KEPT * self.fitted


@dataclass(frozen=True, eq=False)
class Features:
    """SIFT features of the head in one photograph."""

    camera: Camera  # of the image the features were found in
    points: np.ndarray  # [n, 2]
    descriptors: np.ndarray  # [n, 128] float32


def features(photo: np.ndarray, camera: Camera, matte: np.ndarray, sphere: BoundingSphere) -> Features:
    """SIFT of one photograph [H, W, 3] 0..1 inside its matte [h, w], in the pixels of `camera`."""
    x0, y0, x1, y1 = _box(matte, camera)
    if x1 <= x0:
        return Features(camera, np.empty((0, 2)), np.empty((0, 128), np.float32))
    scale = min(1.0, 2 * HEAD_PIXELS / max(x1 - x0, y1 - y0))
    size = max(16, round((x1 - x0) * scale)), max(16, round((y1 - y0) * scale))
    part = cv2.resize(np.ascontiguousarray(photo[y0:y1, x0:x1]), size, interpolation=cv2.INTER_AREA)
    grey = (np.clip(part @ np.array([0.299, 0.587, 0.114], np.float32), 0, 1) * 255).astype(np.uint8)
    whole = cv2.resize(np.asarray(matte, np.float32), (camera.width, camera.height))
    inside = (cv2.resize(whole[y0:y1, x0:x1], size) > 0.5).astype(np.uint8)
    inner = cv2.erode(inside, np.ones((7, 7), np.uint8))  # the background shows at the outline
    keys, found = cv2.SIFT.create(FEATURES, contrastThreshold=0.02).detectAndCompute(grey, inner)
    points = np.array([key.pt for key in keys], np.float64).reshape(-1, 2) + 0.5
    points = points / size * [x1 - x0, y1 - y0] + [x0, y0]
    return Features(camera, points, np.empty((0, 128), np.float32) if found is None else found)


def _box(matte: np.ndarray, camera: Camera) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 in the camera's whole pixels of what a matte of any size shows."""
    rows, columns = np.flatnonzero((matte > 0.5).any(1)), np.flatnonzero((matte > 0.5).any(0))
    if not len(rows):
        return 0, 0, 0, 0
    sx, sy = camera.width / matte.shape[1], camera.height / matte.shape[0]
    return int(columns[0] * sx), int(rows[0] * sy), int((columns[-1] + 1) * sx), int((rows[-1] + 1) * sy)


def mutual_matches(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # [m, 2] indices
    """Matches that are each other's best and pass the ratio test."""
    if len(a) < 2 or len(b) < 2:
        return np.empty((0, 2), int)
    similar = cv2.BFMatcher(cv2.NORM_L2).knnMatch(a, b, k=2)
    back = cv2.BFMatcher(cv2.NORM_L2).match(b, a)
    best = {match.queryIdx: match.trainIdx for match in back}
    return np.array(
        [
            (first.queryIdx, first.trainIdx)
            for first, second in similar
            if first.distance < RATIO * second.distance and best.get(first.trainIdx) == first.queryIdx
        ],
        int,
    ).reshape(-1, 2)


def fundamental(a: Camera, b: Camera) -> np.ndarray:  # [3, 3]
    """x_b^T F x_a = 0 for the images of one point."""
    R = b.R @ a.R.T
    t = b.t - R @ a.t
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    return _inverse(b.K).T @ cross @ R @ _inverse(a.K)


def _inverse(K: np.ndarray) -> np.ndarray:  # [3, 3]
    """Of an upper triangular K with K[2, 2] = 1."""
    (fx, skew, cx), (_, fy, cy), _ = K
    return np.array([[1 / fx, -skew / (fx * fy), (skew * cy / fy - cx) / fx], [0, 1 / fy, -cy / fy], [0, 0, 1]])


def sampson(F: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:  # [n, 2], [n, 2] -> [n]
    """First-order distance in pixels of matches to the geometry (Hartley and Zisserman, eq. 11.9)."""
    x1, y1 = (np.concatenate([p, np.ones((len(p), 1))], 1) for p in (x, y))
    Fx, Fty = x1 @ F.T, y1 @ F
    error = (y1 * Fx).sum(1)
    return np.abs(error) / np.sqrt(np.maximum((Fx[:, :2] ** 2).sum(1) + (Fty[:, :2] ** 2).sum(1), 1e-20))


class PhotoMatches:
    """Matches between photographs, made when first asked for; cameras are given anew with every question."""

    def __init__(
        self,
        photos: Sequence[np.ndarray],
        mattes: Sequence[np.ndarray],
        cameras: Sequence[Camera],
        sphere: BoundingSphere,
    ) -> None:
        self._photos, self._mattes, self._sphere = photos, list(mattes), sphere
        self._cameras = list(cameras)
        self._features: dict[tuple[int, bool], Features] = {}
        self._matches: dict[tuple[int, bool, int, bool], tuple[np.ndarray, np.ndarray]] = {}
        # A fit changes one camera and asks for all pairs again. By a proxy: in a cycle the photographs would stay in
        # memory until Python looks for those
        self._off = lru_cache(RECENT)(partial(PhotoMatches._distances, proxy(self)))

    def find(self, pairs: Sequence[tuple[int, int]], check: Callable[[], None]) -> None:
        """Makes the matches of these pairs of photographs now, two at a time. check may raise to leave."""

        def feature(i: int) -> None:
            check()
            self._of(i, False)

        def match(pair: tuple[int, int]) -> None:
            check()
            self._pair(pair[0], False, pair[1], False)

        list(side_by_side(feature, sorted({i for pair in pairs for i in pair})))
        list(side_by_side(match, pairs))

    def _of(self, photo: int, flipped: bool) -> Features:
        key = photo, flipped
        if key not in self._features:
            pixels, matte = self._photos[photo], self._mattes[photo]
            if flipped:
                pixels, matte = pixels[:, ::-1], matte[:, ::-1]
            self._features[key] = features(pixels, self._cameras[photo], matte, self._sphere)
        return self._features[key]

    def _pair(self, a: int, fa: bool, b: int, fb: bool) -> tuple[np.ndarray, np.ndarray]:
        """Positions [n, 2] as shares of the image's size, of matches that one geometry explains."""
        key = a, fa, b, fb
        if key not in self._matches:
            first, second = self._of(a, fa), self._of(b, fb)
            found = mutual_matches(first.descriptors, second.descriptors)
            x, y = first.points[found[:, 0]], second.points[found[:, 1]]
            if len(found) >= ENOUGH:
                cv2.setRNGSeed(0)
                pixels = TOLERANCE * self.head_pixels(first.camera, second.camera)
                _, inside = cv2.findFundamentalMat(x, y, cv2.USAC_MAGSAC, pixels, 0.999, 2000)
                kept = np.zeros(len(x), bool) if inside is None else inside.ravel() > 0
                x, y = x[kept], y[kept]
            sizes = [np.array([f.camera.width, f.camera.height]) for f in (first, second)]
            self._matches[key] = x / sizes[0], y / sizes[1]
        return self._matches[key]

    def head_pixels(self, *cameras: Camera) -> float:
        """The head's radius in the images of these cameras."""
        sizes = [c.K[0, 0] * self._sphere.radius / np.linalg.norm(self._sphere.center - c.center) for c in cameras]
        return float(np.mean(sizes))

    def compare(
        self,
        a: int,
        b: int,
        cameras: Sequence[Camera],
        photos: Sequence[int] | None = None,
        flipped: Sequence[int] = (),
    ) -> Pair:
        """How cameras a and b explain the matches of the photographs that are said to be theirs."""
        off = self.distances(a, b, cameras, photos, flipped)
        return Pair(a, b, len(off), int((off < TOLERANCE).sum()) if len(off) >= ENOUGH else 0)

    def distances(
        self,
        a: int,
        b: int,
        cameras: Sequence[Camera],
        photos: Sequence[int] | None = None,
        flipped: Sequence[int] = (),
    ) -> np.ndarray:  # [n]
        """How far, in head radii, matches that agree among themselves are from the geometry of cameras a and b.

        photos: which photograph belongs to which camera (default: its own); flipped: cameras whose photograph is
        mirrored first.
        """
        pa, pb = (a, b) if photos is None else (photos[a], photos[b])
        return self._off((pa, a in flipped, pb, b in flipped), cameras[a], cameras[b])

    def _distances(self, key: tuple[int, bool, int, bool], first: Camera, second: Camera) -> np.ndarray:  # [n]
        x, y = self._pair(*key)
        x, y = x * [first.width, first.height], y * [second.width, second.height]
        return sampson(fundamental(first, second), x, y) / self.head_pixels(first, second)


def near_pairs(cameras: Sequence[Camera], sphere: BoundingSphere) -> list[tuple[int, int]]:
    """Each view with its nearest others, by the angle between them at the head."""
    towards = np.stack([camera.center - sphere.center for camera in cameras])
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    angle = np.arccos(np.clip(towards @ towards.T, -1, 1))
    pairs = set()
    for i in range(len(cameras)):
        for j in np.argsort(angle[i])[: NEIGHBOURS + 1]:
            if j != i and angle[i, j] < NEAR:
                pairs.add((min(i, int(j)), max(i, int(j))))
    return sorted(pairs)
