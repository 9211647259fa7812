"""Pose and model coefficients: the person in the template's model that looks most like the scan.

Gauss-Newton on landmarks and on points to the planes of their closest scan points, with Geman and McClure's weights
whose width falls; coefficients are held by their statistics (Li et al., FLAME, 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Similarity
from ..errors import BridgeError, Check, unchecked
from ..head.canonical import similarity
from ..mesh.closest import Closest, Target, face_normals
from ..mesh.distance import sample_surface
from ..mesh.normals import vertex_normals
from ..mesh.topology import morton_order
from ..model import Template
from .regions import Regions
from .scan import LEAST_COSINE, Scan, Surface

SAMPLES = 3000  # template vertices that look for the scan
WIDTHS_MM = (12.0, 10.0, 8.0, 6.5, 5.0, 4.0, 3.0, 2.5, 2.0, 2.0, 1.5, 1.5, 1.5, 1.5)  # of robust weights, by round
COARSE_MM, FEWER = 3.0, 3  # in rounds of wider weights one of so many points is enough
HELD = 20.0  # how much more coefficients are held in the first round; once where the widths are a quarter
BACK_SAMPLES = 3000  # scan points that look for the template
# mm: what a model of that many coefficients leaves, and its correlation between samples; half of it folds lids
SURFACE_SIGMA = 2.0
LANDMARK_SHARE = 0.1  # landmarks err together, so that each counts for less than one
PICKED_SHARE = 100.0  # one that a hand has set is there for a reason
EXPRESSION_SIGMA = 0.12  # most heads are captured at rest: identity explains before expression does
CLOSED_MM = 4.0  # between the landmarks of the inner lips of a closed mouth
JAW, JAW_OPEN = "jawOpen", (0.0, 0.5, 1.0)  # where a mouth is open, tried: from a closed one the chin is out of reach
OPENING = (JAW, "mouthClose", "mouthFunnel", "mouthLowerDown", "mouthUpperUp", "mouthShrugUpper")
# where the scan lies outside skull or neck, weights are narrower: hair and clothes only add; this share, at most that
HAIR_SHARE, HAIR_MM = 0.6, 3.0
NEAR = 2.5  # of a round's width: closest points beyond it weigh less than a fiftieth, and take the longest to find
FAR_MM = 20.0  # what lies farther from the template counts as wholly unlike it
LIPS = (13, 14)  # landmarks in the middle of the inner lips
LEFT_OUT = ("eyeLook", "tongueOut")  # shapes that the surface of a face does not show


@dataclass(frozen=True, eq=False)
class Fit:
    """A person of the model and where it is."""

    pose: Similarity  # template's frame -> scan's world
    identity: np.ndarray  # [k]
    expression: np.ndarray  # [m] 0..1, of the template's expressions
    vertices: np.ndarray  # [V, 3] in the template's frame, with expression
    neutral: np.ndarray  # [V, 3] without


def pose_of(template: Template, scan: Scan) -> Similarity:
    """The similarity template -> world by landmarks. Raises BridgeError "landmarks-none", "landmarks-mirrored"."""
    marks = template.landmarks
    assert marks is not None, "a template is laid on a head by landmarks"
    known = np.isfinite(scan.sigma)
    if known.sum() < 6:
        raise BridgeError(
            "landmarks-none",
            "No face was found in the photographs, so the template cannot be laid on the head.",
            "Give landmarks by hand (--landmarks FILE), or take photographs from the front.",
        )
    source, target = marks.points(template.vertices)[known], scan.landmarks[known]
    weights = 1 / (marks.spread[known] ** 2 + 1)
    for _ in range(10):
        found = similarity(source, target, weights)
        assert found is not None  # landmarks have extent
        gap = np.linalg.norm(found.apply(source) - target, axis=1)
        weights = 1 / (marks.spread[known] ** 2 + 1) / (1 + (gap / np.median(gap)) ** 2) ** 2
    mirrored = similarity(source * [-1, 1, 1], target, weights)
    assert found is not None and mirrored is not None
    if np.median(np.linalg.norm(mirrored.apply(source * [-1, 1, 1]) - target, axis=1)) < 0.5 * np.median(gap):
        raise BridgeError(
            "landmarks-mirrored",
            "The landmarks fit the template's mirror image better than the template: left and right are exchanged.",
            "Give the landmarks of the subject's left on its left, or undo a mirrored scale of the template.",
        )
    return Similarity(found.scale, found.rotation, found.offset)


def inverse(pose: Similarity) -> Similarity:
    """The way back: world -> template's frame."""
    rotation = pose.rotation.T
    return Similarity(1 / pose.scale, rotation, -rotation @ pose.offset / pose.scale)


def fit(
    template: Template, regions: Regions, scan: Scan, *, outside: bool = False, check: Check = unchecked, seed: int = 0
) -> Fit:
    """outside: what lies outside skull and neck (a helmet) is the head too, and pulls them."""
    pose = pose_of(template, scan)
    local = scan.moved(inverse(pose))  # the scan comes to the template: its frame is small, upright and in millimetres
    surface = Surface(local)
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(regions.exposed)
    share = np.where(regions.face, 3.0, 1.0)[chosen]
    chosen = rng.choice(chosen, min(SAMPLES, len(chosen)), replace=False, p=share / share.sum())
    chosen = chosen[morton_order(template.vertices[chosen])]  # neighbours walk through the same boxes
    closed = mouth_closed(local)
    left_out = (*LEFT_OUT, *OPENING) if closed else LEFT_OUT
    shapes = [i for i, name in enumerate(template.expression_names) if not name.startswith(left_out)]
    k, m = len(template.identity), len(shapes)
    basis = np.concatenate([template.identity, template.expressions[shapes]]) if k + m else np.empty((0, 0, 3))
    basis = basis.reshape(k + m, len(template.vertices), 3).astype(np.float32)
    by_vertex = np.ascontiguousarray(basis.transpose(1, 2, 0))  # [V, 3, K]
    marks = template.landmarks
    assert marks is not None  # pose_of says so
    known = np.flatnonzero(np.isfinite(local.sigma))
    at_marks = np.einsum("nk,nkdj->ndj", marks.weights[known], by_vertex[marks.corners[known]])
    share = np.where(local.sigma[known] > 0, LANDMARK_SHARE, PICKED_SHARE)
    mark_weight = share / (marks.spread[known] ** 2 + local.sigma[known] ** 2 + 1)
    prior = np.concatenate([np.ones(k), np.full(m, EXPRESSION_SIGMA**-2.0)])
    one_sided = (~regions.face & ~regions.ears) & (not outside)
    triangles = template.triangles_of("skin")
    back = _ScanPoints(local, surface, template, regions, outside=outside, seed=seed)

    def placed_by(theta: np.ndarray, turn: Similarity) -> np.ndarray:  # [V, 3]
        return turn.points(template.vertices + by_vertex @ theta.astype(np.float32))

    def solved(
        first: np.ndarray, theta: np.ndarray, turn: Similarity, widths: Sequence[float], few: int
    ) -> tuple[np.ndarray, Similarity]:
        """Coefficients, held to first, and what is on top of pose, after rounds with one of few points."""
        mine = chosen[::few]
        at_samples = by_vertex[mine].astype(np.float64)
        for width in widths:
            check()
            placed = placed_by(theta, turn)
            normals = vertex_normals(placed, triangles)[mine].astype(np.float64)
            points = placed[mine]
            there, direction, sure, bare = surface.nearest(points, normals, NEAR * width)
            gap = ((points - there) * direction).sum(1)
            distance = np.linalg.norm(points - there, axis=1)
            hair = one_sided[mine] & (gap < 0)
            wide = np.where(hair, np.minimum(HAIR_SHARE * width, HAIR_MM), width)
            weight = few * sure * np.where(hair, bare, 1) / (1 + (distance / wide) ** 2) ** 2 / SURFACE_SIGMA**2
            turned = turn.scale * turn.rotation
            J = np.concatenate([_pose_rows(points, direction), _along(direction @ turned, at_samples)], 1)
            weighted = (J * weight[:, None]).T
            A, b = weighted @ J, weighted @ gap
            more_A, more_b = back.system(placed, turned, by_vertex, width, few)
            A, b = A + more_A, b + more_b
            marked = marks.points(placed)[known]
            error = marked - local.landmarks[known]
            size = np.linalg.norm(error, axis=1)
            pull = mark_weight / (1 + (size / (3 * np.median(size) + 1)) ** 2) ** 2
            rows = np.concatenate([_pose_jacobian(marked), turned @ at_marks], 2).reshape(3 * len(known), -1)
            weighted = (rows * np.repeat(pull, 3)[:, None]).T
            A, b = A + weighted @ rows, b + weighted @ error.ravel()
            held = prior * max(HELD * (width / WIDTHS_MM[0] - 0.25) + 1, 1)
            A[7:, 7:] += np.diag(held)
            b[7:] += held * (theta - first)
            step = np.linalg.solve(A + 1e-9 * np.eye(len(A)), -b)
            theta = theta + step[7:]
            theta[:k] = np.clip(theta[:k], -3.5, 3.5)
            theta[k:] = np.clip(theta[k:], 0, 1)
            turn = _moved(turn, step[:7])
        return theta, turn

    names = [template.expression_names[i] for i in shapes]
    starts = [np.zeros(k + m)]
    if not closed and JAW in names:
        starts = [amount * np.eye(k + m)[k + names.index(JAW)] for amount in JAW_OPEN]
    coarse = [width for width in WIDTHS_MM if width > COARSE_MM]
    still = Similarity(1.0, np.eye(3), np.zeros(3))
    tried = [(first, *solved(first, first, still, coarse, FEWER)) for first in starts]
    best = min(tried, key=lambda one: back.unlike(placed_by(*one[1:]))) if len(tried) > 1 else tried[0]
    theta, turn = solved(*best, WIDTHS_MM[len(coarse) :], 1)
    pose = pose.after(turn)
    weights = theta.astype(np.float32)
    neutral = template.vertices + np.tensordot(weights[:k], basis[:k], 1)
    expression = np.zeros(len(template.expression_names))
    expression[shapes] = theta[k:]
    return Fit(pose, theta[:k], expression, neutral + np.tensordot(weights[k:], basis[k:], 1), neutral)


def mouth_closed(scan: Scan) -> bool:
    """By the landmarks of the inner lips; the scan is in millimetres. False where they are not known."""
    upper, lower = LIPS
    if not np.isfinite(scan.sigma[list(LIPS)]).all():
        return False
    return bool(np.linalg.norm(scan.landmarks[upper] - scan.landmarks[lower]) < CLOSED_MM)


class _ScanPoints:
    """The other direction: points of the scan that look for the template, so that a large ear pulls a small one."""

    def __init__(
        self,
        scan: Scan,
        surface: Surface,
        template: Template,
        regions: Regions,
        *,
        outside: bool = False,
        seed: int = 0,
    ) -> None:
        points, face = sample_surface(scan.vertices, scan.faces, BACK_SAMPLES, seed)
        corners = scan.faces[face]
        self.points = points
        normals = surface.normals[corners].mean(1)
        self.normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        self.sure = scan.confidence[corners].mean(1)
        self.bare = surface.bare[corners].mean(1)
        # eyes catch the points that lie on eyes; what they catch says nothing of the skin
        self.triangles = template.triangles_of("skin", "eye_left", "eye_right")
        self.counts = regions.exposed[self.triangles].all(1)
        covered = ~(regions.face | regions.ears)
        self.one_sided = covered[self.triangles].any(1) & (not outside)
        self.target = Target(template.vertices, self.triangles)

    def system(
        self, placed: np.ndarray, turned: np.ndarray, basis: np.ndarray, width: float, few: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Normal equations of the points' distances to the template's planes, with respect to pose and coefficients:
        of one of few points, each for so many."""
        planes, hit = self._hit(placed, NEAR * width, few)
        there = hit.of(placed, self.triangles)
        direction = planes[hit.face]
        gap = ((there - self.points[::few]) * direction).sum(1)
        hair = self.one_sided[hit.face] & (gap < 0)
        wide = np.where(hair, np.minimum(HAIR_SHARE * width, HAIR_MM), width)
        weight = (
            few
            * self.sure[::few]
            * np.where(hair, self.bare[::few], 1)
            * self.counts[hit.face]
            / (1 + (hit.distance / wide) ** 2) ** 2
            / SURFACE_SIGMA**2
        )
        use = np.flatnonzero(np.isfinite(hit.distance) & (weight > 1e-3))
        corners, shares, direction = self.triangles[hit.face[use]], hit.weights[use], direction[use]
        local = direction @ turned
        of_shape = np.zeros((len(use), basis.shape[2]))
        for corner in range(3):
            of_shape += _along(shares[:, corner, None] * local, basis[corners[:, corner]])
        J = np.concatenate([_pose_rows(there[use], direction), of_shape], 1)
        weighted = (J * weight[use, None]).T
        return weighted @ J, weighted @ gap[use]

    def unlike(self, placed: np.ndarray) -> float:
        """How much of what is sure of the scan lies off the template, 0..1; hair and shoulders among it."""
        _, hit = self._hit(placed, FAR_MM, 1)
        off = np.where(np.isfinite(hit.distance), hit.distance, np.inf)
        return float((self.sure * (1 - 1 / (1 + (off / SURFACE_SIGMA) ** 2))).sum() / max(self.sure.sum(), 1e-9))

    def _hit(self, placed: np.ndarray, reach: float, few: int) -> tuple[np.ndarray, Closest]:
        """Normals of the template's triangles, and where one of few points finds one that looks the same way."""
        self.target.move(placed)
        planes = face_normals(placed, self.triangles)
        return planes, self.target.closest(self.points[::few], self.normals[::few], planes, LEAST_COSINE, reach)


def _along(direction: np.ndarray, basis: np.ndarray) -> np.ndarray:  # [n, 3], [n, 3, K] -> [n, K]
    """How far each coefficient moves each point along its direction."""
    return (direction[:, None, :] @ basis)[:, 0]


def _pose_jacobian(points: np.ndarray) -> np.ndarray:  # [n, 3] -> [n, 3, 7]
    """Of the points with respect to a turn, a shift and a growth about the origin."""
    J = np.zeros((len(points), 3, 7))
    x, y, z = points.T
    J[:, 0, 1], J[:, 0, 2] = z, -y
    J[:, 1, 0], J[:, 1, 2] = -z, x
    J[:, 2, 0], J[:, 2, 1] = y, -x
    J[:, :, 3:6] = np.eye(3)
    J[:, :, 6] = points
    return J


def _pose_rows(points: np.ndarray, direction: np.ndarray) -> np.ndarray:  # [n, 7]
    return np.einsum("nd,ndj->nj", direction, _pose_jacobian(points))


def _moved(turn: Similarity, step: np.ndarray) -> Similarity:
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_rotvec(step[:3]).as_matrix()
    return Similarity(float(np.exp(step[6])), rotation, step[3:6]).after(turn)
