"""One frame of a performance whose identity is known: pose and expression by landmarks and skin, then every vertex.

Gauss-Newton. A vertex's photographs give a 3 x 3 system of its motion: the key frame's look minus what is seen now.
These systems are added up for pose and expression; then each vertex solves its own, held to its neighbours' motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.spatial.transform import Rotation

from ..capture.cameras import Camera
from ..errors import BridgeError, Check, unchecked
from ..head.canonical import similarity
from ..head.landmarks import Face, Landmarker, find_faces
from ..head.triangulate import triangulate
from ..model.template import edges_of
from .identity import Identity
from .look import FINE_PIXELS, FINE_SIZE, Look, Pictures, near, visible

SAMPLES = 2000  # vertices that pose and expression are measured at
STILL, STILL_SAMPLES = 1.0, 1000  # edges that no shape moves skin by which tells the head's motion alone
RIGID_ROUNDS, SETTLED = (10, 3), 0.02  # Gauss-Newton steps of it, by level; edges that a last step may be
ROUNDS, COARSE = (6, 5, 4, 4), 2  # Gauss-Newton steps of pose and expression, by level; so many come before lids
FREE_ROUNDS = 3  # of every vertex, at the finest level
MARK_SHARE = 0.1  # landmarks err together, so that each counts for less than one
DOUBT = 2.0  # of landmarks, in their median distance from where the skin puts them
EXPRESSION_SIGMA = 0.8  # of weights 0..1
SKIN_SIGMA = 0.5  # of a look's value: what light and noise change
PATCH = 0.1  # neighbouring samples err together
WIDTH = 1.0  # of robust weights of a look's value
LEAST_COSINE = 0.2
JAW, JAW_OPEN, JAW_PART = "jawOpen", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), 0.3  # tried where it moves so much of its most
JAW_LEVELS, JAW_SURE = (0, 1), 0.9  # a try that costs less is right: costs were 0.4 to 0.8, or 1.0 to 1.6 of a shout
# Of an eye, tried; slopes do the rest. One that is shut farther hides what the key frame shows of it, and the skin that
# is left looks like anything, so it is told by looking like none of these: costs were 0.57 to 0.89 of shut eyes and
# 0.34 to 0.55 of others, frowning, half shut and wide ones among them
CLOSED = (0.0, 0.25)
LIDS_LEVEL, UNKNOWN, ALIKE = 3, 0.5, 0.56
SHUT, SHUT_KEY = (0.75, 1.0), 0.7  # tried too where a key frame shows shut lids: one that is shut so far
STIFFNESS, HELD = 60.0, 2.0  # of a vertex against its neighbours and against the model, in edges
SKULL = 10.0  # how much more what is no face is held: bone does not move
NEARER, UNSHOWN = 0.1, 1.0  # edges: another key frame's skin must lie so much nearer; what one hides counts as farther
MARK_VIEWS = 4  # that landmarks are looked for in
SEED = 0


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid motion x' = R (x - centre) + centre + t of the key frame's head, and weights of its shapes."""

    R: np.ndarray  # [3, 3]
    t: np.ndarray  # [3]
    expression: np.ndarray  # [m] 0..1


@dataclass(frozen=True, eq=False)
class Tracked:
    """One frame. vertices = pose(neutral + expression + detail)."""

    pose: Pose
    detail: np.ndarray  # [V, 3] float32, in the key frame's world
    error: float  # mean difference of look, where it is seen


def placed(identity: Identity, pose: Pose, detail: np.ndarray | float = 0.0) -> np.ndarray:  # [V, 3] world
    """The whole template of a frame."""
    centre = identity.centre
    return (identity.posed(pose.expression) + detail - centre) @ pose.R.T + centre + pose.t


@dataclass(frozen=True, eq=False)
class Marks:
    """Landmarks of a frame in the world."""

    points: np.ndarray  # [n, 3]
    sigma: np.ndarray  # [n] world units


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame's pictures at one sharpness, and which vertices each of them shows."""

    pictures: Pictures
    level: int
    facing: np.ndarray  # [views, V] cosine, 0 where hidden
    look: Look


@dataclass(frozen=True, eq=False)
class _Skin:
    """Vertices that are compared with the key frame's look."""

    points: np.ndarray  # [n, 3] world
    facing: np.ndarray  # [views, n] cosine, 0 where a view does not see the vertex
    at: np.ndarray  # [n] their numbers


class Tracker:
    """Keeps what frames of one identity share."""

    def __init__(self, identity: Identity, landmarker: Landmarker) -> None:
        self.identity, self.landmarker = identity, landmarker
        self.shapes = [i for i, name in enumerate(identity.shape_names) if not name.startswith(("eyeLook", "tongue"))]
        self.eyes = identity.eyes()
        surface = identity.surface
        self.around = {side: surface[np.isin(surface, at).any(1)] for side, at in self.eyes.items()}
        self.closed = {side: CLOSED + (SHUT if self._shut(side) else ()) for side in self.eyes}
        self.basis = np.ascontiguousarray(identity.shapes[self.shapes].transpose(1, 2, 0), np.float64)  # [V, 3, m]
        rng = np.random.default_rng(SEED)
        share = np.where(identity.face, 4.0, 1.0) * identity.follows * (identity.shown[0] > 0)
        count = min(SAMPLES, int((share > 0).sum()))
        self.samples = np.sort(rng.choice(len(share), count, replace=False, p=share / share.sum()))
        moved = np.linalg.norm(identity.shapes[self.shapes], axis=2).max(0)
        still = np.flatnonzero((share > 0) & (moved < STILL * identity.size))
        self.still = np.sort(rng.choice(still, min(STILL_SAMPLES, len(still)), replace=False))
        self.moved = [identity.posed(weights) - identity.neutral for weights in identity.expression]
        edges = edges_of(identity.faces)
        edges = edges[(identity.part[edges] == 0).all(1)]
        ones = np.ones(len(edges))
        n = len(identity.neutral)
        links = sparse.coo_matrix((ones, (edges[:, 0], edges[:, 1])), (n, n))
        links = (links + links.T).tocsr()
        self.laplacian = (sparse.diags(np.asarray(links.sum(1)).ravel()) - links).tocsr()
        known = np.isfinite(identity.marks).all(1)
        on_mesh = np.einsum("nk,nkd->nd", identity.weights, identity.neutral[identity.corners])
        self.known = np.flatnonzero(known)
        self.bias = (identity.marks - on_mesh)[known]  # how the landmark model sees this face
        self.at_marks = np.einsum("nk,nkdj->ndj", identity.weights[known], self.basis[identity.corners[known]])

    def _shut(self, side: str) -> bool:
        """Whether a key frame shows what this eye's lids look like when they are shut."""
        name = f"eyeBlink{side}"
        at = [i for i, shape in enumerate(self.identity.shape_names) if shape == name]
        return bool((self.identity.expression[:, at] > SHUT_KEY).any())

    def track(self, cameras: Sequence[Camera], pictures: Sequence[np.ndarray], check: Check = unchecked) -> Tracked:
        """Raises BridgeError "face-none" where no two photographs show the face."""
        marks = self._landmarks(cameras, pictures, check)
        pose = self._by_landmarks(marks)
        seen = Pictures(cameras, pictures, placed(self.identity, pose)[self.identity.follows])
        pose = self._coarse(seen, marks, self._rigid(seen, pose))
        pose, shut = self._lids(seen, pose)
        for level in range(COARSE, len(ROUNDS)):
            check()
            pose, facing = self._settled(seen, marks, pose, level, shut)
        check()
        detail, error = self._free(seen, facing, pose)
        return Tracked(pose, detail.astype(np.float32), error)

    def _landmarks(self, cameras: Sequence[Camera], pictures: Sequence[np.ndarray], check: Check) -> Marks:
        """Where the known landmarks are now."""
        identity = self.identity
        forward = identity.marks[self.known].mean(0) - identity.neutral[identity.follows].mean(0)
        towards = [float((camera.center - identity.centre) @ forward) / np.linalg.norm(camera.center - identity.centre)
                   for camera in cameras]  # fmt: skip
        best = [int(i) for i in np.argsort(towards)[::-1][: max(2, MARK_VIEWS)]]
        faces: list[Face | None] = find_faces(self.landmarker, [pictures[i] for i in best], check=check)
        found = triangulate([cameras[i] for i in best], faces)
        if found is None:
            raise BridgeError(
                "face-none",
                "No two of the photographs from the front show a face that can be recognised.",
                "Nothing need be done: the frame is put between its neighbours. Check that no camera was covered.",
            )
        return Marks(found.points[self.known], found.sigma[self.known])

    def _by_landmarks(self, marks: Marks) -> Pose:
        """The start: rigid by landmarks that expressions move little, then pose and expression by all."""
        identity = self.identity
        on_mesh = identity.marks[self.known]
        still = 1 / (identity.size + np.abs(self.at_marks).max((1, 2))) ** 2
        found = similarity(on_mesh, marks.points, still)
        assert found is not None
        centre = identity.centre
        R = found.rotation
        t = (still[:, None] * (marks.points - (on_mesh - centre) @ R.T - centre)).sum(0) / still.sum()
        pose = Pose(R, t, np.zeros(len(identity.shapes)))
        for _ in range(6):
            pose = self._step(pose, marks, None, None)
        return pose

    def _skin(
        self, seen: Seen, pose: Pose, detail: np.ndarray | float, chosen: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Systems A [n, 3, 3], b [n, 3] of the chosen vertices' motion, in world axes; and the mean difference."""
        pictures, level = seen.pictures, seen.level
        facing = seen.facing[:, chosen]
        points = placed(self.identity, pose, detail)[chosen]
        target = seen.look.values[level][chosen]
        A, b = np.zeros((len(chosen), 3, 3)), np.zeros((len(chosen), 3))
        total = weights = 0.0
        for view in range(len(pictures.cameras)):
            use = np.flatnonzero(facing[view] > LEAST_COSINE)
            value, slope = pictures.values(view, level, points[use])
            gap = value - target[use]
            weight = facing[view][use] ** 2 * seen.look.shown[chosen[use]]
            weight = weight / (1 + (gap / WIDTH) ** 2) ** 2 / SKIN_SIGMA**2
            A[use] += weight[:, None, None] * slope[:, :, None] * slope[:, None, :]
            b[use] += (weight * gap)[:, None] * slope
            total, weights = total + float((weight * np.abs(gap)).sum()), weights + float(weight.sum())
        return A, b, total / max(weights, 1e-9)

    def _look(self, pose: Pose) -> Look:
        """Of each vertex in the key frame where its skin was moved most alike: an open eye shows nothing of its lid."""
        identity = self.identity
        if len(self.moved) == 1:
            return Look(identity.look[0], identity.shown[0])
        now = identity.posed(pose.expression) - identity.neutral
        away = np.stack([np.linalg.norm(now - moved, axis=1) for moved in self.moved])
        away[1:] += NEARER * identity.size
        away += UNSHOWN * identity.size * (1 - identity.shown)
        key, vertices = away.argmin(0), np.arange(len(now))
        return Look(np.ascontiguousarray(identity.look[key, :, vertices].T), identity.shown[key, vertices])

    def _rigid(self, seen: Pictures, pose: Pose) -> Pose:
        """The head's motion by skin that no shape moves: landmarks of a grimace turn it by centimetres."""
        centre = self.identity.centre
        for level, rounds in enumerate(RIGID_ROUNDS):
            facing = visible(seen.cameras, placed(self.identity, pose), self.identity.surface)
            for _ in range(rounds):
                A, b, _ = self._skin(Seen(seen, level, facing, self._look(pose)), pose, 0.0, self.still)
                arms = placed(self.identity, pose)[self.still] - centre - pose.t
                J = rigid(arms)
                system = np.einsum("nda,nde,neb->ab", J, A, J, optimize=True)
                step = np.linalg.lstsq(system, -np.einsum("nda,nd->a", J, b), rcond=1e-9)[0]
                R = Rotation.from_rotvec(step[:3]).as_matrix()
                pose = replace(pose, R=R @ pose.R, t=pose.t + step[3:])
                if np.linalg.norm(J @ step, axis=1).max() < SETTLED * self.identity.size:
                    break
        return pose

    def _settled(
        self, seen: Pictures, marks: Marks, pose: Pose, level: int, held: Sequence[int] = ()
    ) -> tuple[Pose, np.ndarray]:
        """Pose and expression by all of the skin at one sharpness, and which views show what [views, V] cosine."""
        facing = visible(seen.cameras, placed(self.identity, pose), self.identity.surface)
        for _ in range(ROUNDS[level]):
            system = self._skin(Seen(seen, level, facing, self._look(pose)), pose, 0.0, self.samples)
            pose = self._step(pose, marks, system[:2], self.samples, held)
        return pose, facing

    def _coarse(self, seen: Pictures, marks: Marks, pose: Pose) -> Pose:
        """Pose and expression at the coarse levels; where no mouth looks right at first, from the widest one too."""
        ends = []
        for end in self._jaws(seen, pose):
            for level in range(COARSE):
                end, facing = self._settled(seen, marks, end, level)
            *_, unlike = self._skin(Seen(seen, COARSE, facing, self._look(end)), end, 0.0, self.samples)
            ends.append((unlike, end))
        return min(ends, key=lambda found: found[0])[1]

    def _jaws(self, seen: Pictures, pose: Pose) -> list[Pose]:
        """How far the mouth may be open, by trying: it moves the chin farther than a slope sees, and landmarks of a
        shout may be centimetres wrong. A mouth that is too open shows all of its skin, and slopes close it."""
        if JAW not in self.identity.shape_names:
            return [pose]
        jaw = self.identity.shape_names.index(JAW)
        moved = np.linalg.norm(self.identity.shapes[jaw], axis=1) * self.identity.face * self.identity.follows
        at = np.flatnonzero(moved > JAW_PART * moved.max())
        facing = visible(seen.cameras, placed(self.identity, pose), self.identity.surface)[:, at]
        tries = [with_weights(pose, {jaw: amount}) for amount in JAW_OPEN]
        costs = []
        for tried in tries:
            points, look = placed(self.identity, tried)[at], self._look(tried)
            costs.append(sum(self._unlike(seen, level, look, _Skin(points, facing, at)) for level in JAW_LEVELS))
        best = tries[int(np.argmin(costs))]
        if min(costs) > JAW_SURE:
            return [best] if best is tries[-1] else [best, tries[-1]]
        near = abs(best.expression[jaw] - pose.expression[jaw]) < JAW_OPEN[1]
        return [pose if near else best]  # landmarks know it better than a try

    def _lids(self, seen: Pictures, pose: Pose) -> tuple[Pose, list[int]]:
        """How far each eye is closed, by trying: a slope says nothing of an eye that is hidden now or was before.

        Where no try looks like the key frame's open eye, it is shut; these shapes are told and stay as they are.
        """
        names = self.identity.shape_names
        eyes = {side: at for side, at in self.eyes.items() if f"eyeBlink{side}" in names}

        def lids(side: str, closed: float) -> list[tuple[int, float]]:
            """The weights of an eye that is so far closed: one that is open may also be wide."""
            found = [(names.index(f"eyeBlink{side}"), closed)]
            if closed and (wide := f"eyeWide{side}") in names:
                found.append((names.index(wide), 0.0))
            return found

        costs: dict[str, list[float]] = {side: [] for side in eyes}
        hidden = visible(seen.cameras, placed(self.identity, pose), self.identity.surface) == 0
        for side, at in eyes.items():
            around = self.around[side]
            for closed in self.closed[side]:
                tried = with_weights(pose, dict(lids(side, closed)))
                points = placed(self.identity, tried)
                cameras = near(seen.cameras, points[at])
                facing = visible(cameras, points, around, FINE_SIZE, FINE_PIXELS)[:, at] * ~hidden[:, at]
                costs[side].append(self._unlike(seen, LIDS_LEVEL, self._look(tried), _Skin(points[at], facing, at)))
        shut = []
        for side in eyes:
            if self.closed[side] == CLOSED and min(costs[side]) > ALIKE:
                pose = with_weights(pose, dict(lids(side, 1.0)))
                shut.append(names.index(f"eyeBlink{side}"))
            else:
                pose = with_weights(pose, dict(lids(side, self.closed[side][int(np.argmin(costs[side]))])))
        return pose, shut

    def _unlike(self, seen: Pictures, level: int, look: Look, skin: _Skin) -> float:
        """Mean of 1 - correlation of look over the views; skin that the key frame does not show counts as UNKNOWN."""
        total = weights = 0.0
        points, facing, at = skin.points, skin.facing, skin.at
        known = look.shown[at]
        for view in range(len(seen.cameras)):
            use = np.flatnonzero(facing[view] > LEAST_COSINE)
            if len(use):
                now = seen.values(view, level, points[use])[0]
                weight = facing[view][use].astype(np.float64)
                sure = weight * known[use]
                unlike = 1 - correlation(now, look.values[level][at[use]], sure)
                total += float(sure.sum()) * unlike + float((weight - sure).sum()) * UNKNOWN
                weights += float(weight.sum())
        return total / max(weights, 1e-9)

    def _step(
        self,
        pose: Pose,
        marks: Marks,
        skin: tuple[np.ndarray, np.ndarray] | None,
        chosen: np.ndarray | None,
        held: Sequence[int] = (),
    ) -> Pose:
        """One Gauss-Newton step of pose and expression. held: shapes whose weight stays."""
        identity, centre = self.identity, self.identity.centre
        m = len(self.shapes)
        shape = identity.posed(pose.expression)
        local = np.einsum("nk,nkd->nd", identity.weights[self.known], shape[identity.corners[self.known]]) + self.bias
        now = (local - centre) @ pose.R.T + centre + pose.t
        error = now - marks.points
        size = np.linalg.norm(error, axis=1)
        usual = np.median(size) + 1e-9
        doubt = marks.sigma**2 + (0.5 * identity.size) ** 2
        if skin is not None:  # a model that was never shown such a face errs by more than it says
            doubt = doubt + (DOUBT * usual) ** 2
        pull = MARK_SHARE / doubt / (1 + (size / (3 * usual)) ** 2) ** 2
        J = np.concatenate([rigid(now - centre - pose.t), np.einsum("de,nej->ndj", pose.R, self.at_marks)], 2)
        A = np.einsum("n,nda,ndb->ab", pull, J, J, optimize=True)
        b = np.einsum("n,nda,nd->a", pull, J, error)
        if skin is not None:
            assert chosen is not None
            # in the head's own axes, where the shapes' part of J never changes
            J = np.concatenate([rigid(shape[chosen] - centre), self.basis[chosen]], 2).astype(np.float32)
            local_A = np.einsum("ba,nbc,cd->nad", pose.R, skin[0], pose.R, optimize=True).astype(np.float32)
            AJ = np.empty_like(J)
            for d in range(3):  # three by hand: a product of thousands of small matrices is slow
                AJ[:, d] = sum(local_A[:, d, e, None] * J[:, e] for e in range(3))
            flat = J.reshape(-1, 6 + m)
            local = (flat.T @ AJ.reshape(-1, 6 + m)).astype(np.float64)
            turn = np.eye(6 + m)
            turn[:3, :3] = turn[3:6, 3:6] = pose.R
            A += PATCH * turn @ local @ turn.T
            b += PATCH * turn @ (flat.T @ (skin[1] @ pose.R).astype(np.float32).ravel())
        weights = pose.expression[self.shapes]
        A[6:, 6:] += np.eye(m) / EXPRESSION_SIGMA**2
        b[6:] += weights / EXPRESSION_SIGMA**2
        step = bounded(A, b, weights, np.isin(self.shapes, held))
        R = Rotation.from_rotvec(step[:3]).as_matrix()
        expression = pose.expression.copy()
        expression[self.shapes] = np.clip(weights + step[6:], 0, 1)
        return Pose(R @ pose.R, pose.t + step[3:6], expression)

    def _free(self, seen: Pictures, facing: np.ndarray, pose: Pose) -> tuple[np.ndarray, float]:
        """Every vertex's motion beside the model's [V, 3], smooth, in the key frame's world; the difference left."""
        identity = self.identity
        n = len(identity.neutral)
        chosen = np.flatnonzero(identity.follows)
        detail, error = np.zeros((n, 3)), 0.0
        edge = identity.size
        held = HELD / edge**2 * np.where(identity.face, 1.0, SKULL)
        smooth = sparse.kron(STIFFNESS / edge**2 * self.laplacian, sparse.eye(3), "csr")
        rows = np.repeat(3 * np.arange(n)[:, None] + np.arange(3), 3, axis=1).reshape(n, 3, 3)
        columns = np.swapaxes(rows, 1, 2)
        for level in (*[len(ROUNDS) - 2] * (FREE_ROUNDS - 2), *[len(ROUNDS) - 1] * 2):
            A, b, error = self._skin(Seen(seen, level, facing, self._look(pose)), pose, detail, chosen)
            A = np.einsum("ba,nbc,cd->nad", pose.R, A, pose.R, optimize=True)  # back to the key frame's axes
            b = b @ pose.R
            blocks = np.zeros((n, 3, 3))
            blocks[chosen] = A
            blocks += held[:, None, None] * np.eye(3)
            right = held[:, None] * detail
            right[chosen] += b
            matrix = sparse.csr_matrix((blocks.ravel(), (rows.ravel(), columns.ravel())), (3 * n, 3 * n)) + smooth
            right += (smooth @ detail.ravel()).reshape(n, 3)
            scale = sparse.diags(1 / matrix.diagonal())
            step, _ = cg(matrix, -right.ravel(), rtol=1e-3, maxiter=60, M=scale)
            step = step.reshape(n, 3)
            length = np.linalg.norm(step, axis=1, keepdims=True)
            detail += step * np.minimum(1, edge / np.maximum(length, 1e-12))
        return detail, error


def with_weights(pose: Pose, weights: dict[int, float]) -> Pose:
    """The pose with other weights of some shapes."""
    expression = pose.expression.copy()
    for shape, weight in weights.items():
        expression[shape] = weight
    return replace(pose, expression=expression)


def correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """Of two lists of values, weighted; 0 where one of them is flat."""
    total = max(float(weights.sum()), 1e-9)
    a, b = a - (weights * a).sum() / total, b - (weights * b).sum() / total
    size = np.sqrt((weights * a * a).sum() * (weights * b * b).sum())
    return float((weights * a * b).sum() / size) if size > 1e-9 else 0.0


def bounded(A: np.ndarray, b: np.ndarray, weights: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The step of a Gauss-Newton system whose last unknowns are weights [m] within 0..1; those held [m] stay."""
    fixed = np.concatenate([np.zeros(6, bool), held])
    step = np.zeros(len(b))
    for _ in range(6):
        free = np.flatnonzero(~fixed)
        step[free] = np.linalg.solve(
            A[np.ix_(free, free)] + 1e-9 * np.trace(A) / len(A) * np.eye(len(free)),
            -b[free] - A[np.ix_(free, np.flatnonzero(fixed))] @ step[fixed],
        )
        there = weights + step[6:]
        out = np.flatnonzero(((there < -1e-6) | (there > 1 + 1e-6)) & ~fixed[6:])
        if not len(out):
            break
        fixed[6 + out] = True
        step[6 + out] = np.clip(there[out], 0, 1) - weights[out]
    return step


def rigid(points: np.ndarray) -> np.ndarray:  # [n, 3] -> [n, 3, 6]
    """Of turned points with respect to a turn about the centre and a shift."""
    J = np.zeros((len(points), 3, 6))
    x, y, z = points.T
    J[:, 0, 1], J[:, 0, 2] = z, -y
    J[:, 1, 0], J[:, 1, 2] = -z, x
    J[:, 2, 0], J[:, 2, 1] = y, -x
    J[:, :, 3:] = np.eye(3)
    return J
