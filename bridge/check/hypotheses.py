"""Which views are wrong, and what is wrong with them: the explanation is sought that makes all views agree again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ..capture.cameras import OPENGL, Camera
from ..mattes.silhouettes import Agreement, BoundingSphere
from .findings import ERROR, WARNING, Finding, names
from .rig import LOOSE
from .scene import LIMIT, Change, Scene

ALARM = 0.9  # cost above that of the best explanation from which on there is a fault
RESTORED = 0.4  # an explanation leaves at most this share of the cost
ROUNDS = 3  # independent faults looked for, one after another
SUSPECTS = 4  # views looked at closely in a round
SIMPLE = 0.25  # cost of each number an explanation may choose: the plainer one wins a tie
TURN_NOT_SHIFT = 3.0  # degrees: a smaller turn cannot be told from a shifted principal point
MOST_FOCAL = np.log(3.0)
LARGEST_SHIFT = 5.0  # degrees: the head this far off its place is no matter of the principal point
LEAST_FOCAL, LEAST_ROLL, LEAST_TURN = 0.02, 1.0, 0.4  # share, degrees, degrees: less is no fault to speak of
SMALL_FOCAL, SMALL_TURN = 0.05, 5.0  # share, degrees: where all cameras are off, no more is one camera's fault
HOPELESS = 0.02  # mean misfit from which on all cameras are suspected together
SENSIBLE = 0.25  # what is left of it, at most, if their common error was found
EVALUATIONS = 36  # of either half of a fit
UNEXPLAINED = ("mask-disagrees", "camera-disagrees")


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One possible fault, undone."""

    code: str
    views: tuple[int, ...]
    scene: Scene  # with the fault undone
    cost: float  # of that scene, and of the explanation's own freedom
    what: str  # "its photograph is mirrored"
    cure: str
    small: bool = False  # so that refining the cameras corrects it

    def restores(self, before: float, excluded: set[int]) -> bool:
        return _fits_again(self.cost, self.scene.no_match_cost(excluded), before)


def find_faults(scene: Scene, given_masks: Sequence[bool]) -> tuple[list[Finding], Scene]:
    """Faults of single cameras, photographs and masks, and the scene with those undone that could be explained.

    given_masks: which masks the user made.
    """
    findings: list[Finding] = []
    excluded: set[int] = set()
    for _ in range(ROUNDS):
        present = [i for i in range(len(scene.cameras)) if i not in excluded]
        if len(present) < 3:
            break
        before = scene.cost(excluded)
        # beside a fault that was found, a small one of another view is likely its side effect
        best, left = _best(scene, Search(excluded, before, small_too=not findings))
        if best is not None:
            findings.append(_finding(scene, best))
            scene = best.scene
            continue
        # masks that were predicted under a wrong camera are not to blame for what they are then
        if left is None or not given_masks[left] and any(finding.code != "mask-disagrees" for finding in findings):
            break
        findings.append(_unexplained(scene, left, excluded, given_masks))
        excluded.add(left)
        if len(excluded) > 1 and (scene.epipolar_error() or 0) > LOOSE:  # several, for no reason: all are a little off
            return [finding for finding in findings if finding.code not in UNEXPLAINED], scene
    return findings, scene


def find_rig_fault(scene: Scene) -> tuple[Finding, Scene] | None:
    """One error that all cameras share, where the rig as it is makes no sense at all."""
    before = scene.misfit()
    if before < HOPELESS:
        return None
    cure_axes = "Convert all cameras: OpenCV looks along +Z with Y down, OpenGL and Blender along -Z with Y up."
    tries: list[tuple[str, str, str, Callable[[Camera], Camera]]] = [
        (
            "rig-axes",
            "The y and z axes of all cameras point the wrong way.",
            cure_axes,
            lambda c: replace(c, R=OPENGL[:, None] * c.R, t=OPENGL * c.t),
        ),
        (
            "rig-inverted",
            "The poses of all cameras are inverted: they map from camera to world.",
            "Give the rotation and translation from world to camera.",
            lambda c: replace(c, R=c.R.T, t=-c.R.T @ c.t),
        ),
    ]
    for percent in (-45, -35, -25, -15, 15, 25, 35, 45, 60, 80):
        sentence = (
            f"The focal lengths of all cameras look about {abs(percent)}% too {'long' if percent > 0 else 'short'}."
        )
        cure = "Check the sensor size, and that the photographs were not cropped or resized after the calibration."
        by = 1 / (1 + percent / 100)
        tries.append(("rig-focal", sentence, cure, partial(_zoomed, by=by)))
    found = []
    for code, sentence, cure, change in tries:
        cameras = [change(camera) for camera in scene.cameras]
        outlines = [s.seen_by(camera) for s, camera in zip(scene.agreement.silhouettes, cameras, strict=True)]
        try:
            sphere = BoundingSphere.around(outlines)
        except ValueError:
            continue
        other = replace(scene, cameras=tuple(cameras), agreement=Agreement(outlines, sphere))
        found.append((other.misfit(), Finding(code, ERROR, (), sentence, cure), other))
    best = min(found, key=lambda entry: entry[0], default=None)
    return (best[1], best[2]) if best is not None and best[0] < SENSIBLE * before else None


@dataclass(frozen=True)
class Search:
    """What an explanation is looked for under."""

    excluded: set[int]  # views that are out of the way
    before: float  # the cost that an explanation has to mend
    small_too: bool  # may it be a small fault?


def _best(scene: Scene, search: Search) -> tuple[Hypothesis | None, int | None]:
    """The best explanation, or the one view without which the others agree, or neither."""
    excluded, before = search.excluded, search.before
    present = [i for i in range(len(scene.cameras)) if i not in excluded]
    no_match_cost = scene.no_match_cost(excluded)

    def without(*views: int) -> float:
        """The cost then. That pairs without matches go too is no evidence against a view."""
        less = excluded | set(views)
        return scene.cost(less) + no_match_cost - scene.no_match_cost(less)

    fair = {i: without(i) for i in present}
    suspects = sorted(present, key=fair.__getitem__)[:SUSPECTS]
    first = suspects[0]
    lonely = [i for i in present if _matches_no_neighbour(scene, i)]
    pair = _best_pair(scene, excluded, present)
    alone = _fits_again(fair[first], no_match_cost, before)
    both = pair is not None and _fits_again(without(*pair), no_match_cost, before)
    if not (alone or both or lonely):  # what no one's absence mends, no change of one or two views does
        return None, None
    if pair is not None and before - fair[first] < ALARM:
        suspects = [*pair, *(i for i in suspects if i not in pair)]
    chosen = _best_hypothesis(scene, search, suspects, lonely)
    if chosen is not None:
        return chosen, None
    if scene.all_off:
        return None, None
    if alone:
        return None, first
    if both:
        assert pair is not None  # both says so
        for i, other in (pair, pair[::-1]):  # two faults: one is explained while the other is out of the way
            less = excluded | {other}
            chosen = _best_hypothesis(scene, Search(less, scene.cost(less), search.small_too), [i], [])
            if chosen is not None:
                return chosen, None
        return None, pair[0]
    return None, None


def _best_hypothesis(scene: Scene, search: Search, suspects: list[int], lonely: list[int]) -> Hypothesis | None:
    """The explanation that restores agreement best; the continuous ones are tried when no plain one does."""
    excluded, before = search.excluded, search.before
    good = 1 + scene.no_match_cost(excluded)
    candidates = (
        list(_swapped_photos(scene, excluded, list(dict.fromkeys(suspects + lonely)))) if len(suspects) > 1 else []
    )
    for i in dict.fromkeys(suspects[:2] + lonely):
        candidates += _discrete_faults(scene, excluded, i)
    chosen = min(candidates, key=lambda e: e.cost, default=None)
    for i in suspects[:2]:
        if chosen is not None and chosen.restores(before, excluded) and chosen.cost < good:
            break
        candidates += [
            e for e in _continuous_faults(scene, excluded, i) if not e.small or (search.small_too and not scene.all_off)
        ]
        chosen = min(candidates, key=lambda e: e.cost, default=None)
    return chosen if chosen is not None and chosen.restores(before, excluded) else None


def _fits_again(cost: float, no_match_cost: float, before: float) -> bool:
    """Does it fit well now? no_match_cost: the part of the cost that views without matches have in any case."""
    return before - cost >= ALARM and cost - no_match_cost <= max(RESTORED * (before - no_match_cost), 1.0)


def _matches_no_neighbour(scene: Scene, i: int) -> bool:
    """A view whose neighbours match each other, but not it: perhaps its photograph is another one."""
    pairs = scene.compared()
    mine = [p for p in pairs if i in (p.a, p.b)]
    others = [p for p in pairs if i not in (p.a, p.b)]
    if len(mine) < 2 or any(p.confirms for p in mine) or not others:
        return False
    return bool(np.mean([p.confirms for p in others]) > 0.6)


def _best_pair(scene: Scene, excluded: set[int], present: list[int]) -> tuple[int, int] | None:
    """The two views without which the outlines agree best."""
    if len(present) < 5:
        return None
    return min(combinations(present, 2), key=lambda pair: scene.misfit(excluded | set(pair)))


def _swapped_photos(scene: Scene, excluded: set[int], suspects: list[int]) -> Iterator[Hypothesis]:
    """The photographs of two views changed places."""
    present = [i for i in range(len(scene.cameras)) if i not in excluded]
    tried = set()
    for i in suspects:
        for j in present:
            pair = (min(i, j), max(i, j))
            shapes = [scene.silhouettes[scene.photographs[k]].mask.shape for k in pair]
            if i == j or pair in tried or shapes[0] != shapes[1]:
                continue
            tried.add(pair)
            other = scene.exchanged(*pair)
            # matching takes longest: only where the outlines allow it
            if other.misfit(excluded) > max(scene.misfit(excluded), 1e-3):
                continue
            yield Hypothesis("photos-exchanged", pair, other, other.cost(excluded), "", "")


def _discrete_faults(scene: Scene, excluded: set[int], i: int) -> Iterator[Hypothesis]:
    camera = scene.cameras[i]

    def tried(code: str, change: Change, what: str, cure: str) -> Hypothesis:
        other = scene.changed({i: change})
        return Hypothesis(code, (i,), other, other.cost(excluded), what, cure)

    yield tried(
        "photo-mirrored",
        Change(camera, True),
        "its photograph is mirrored left to right",
        "Use the photograph as the camera took it, or flip it back.",
    )
    cure = "Turn the photograph (EXIF orientation is ignored), or the camera about its viewing axis."
    for degrees in (90, 180, 270):
        what = f"its photograph is turned by {min(degrees, 360 - degrees)} degrees in the image plane"
        yield tried("camera-rolled", Change(_rolled(camera, degrees)), what, cure)
    cure = "Convert its rotation: OpenCV looks along +Z with Y down, OpenGL and Blender along -Z with Y up."
    for signs, axes in ((OPENGL, "y and z"), (OPENGL[[1, 0, 2]], "x and z")):
        turned = replace(camera, R=signs[:, None] * camera.R, t=signs * camera.t)
        yield tried("camera-axes", Change(turned), f"its {axes} axes point the wrong way", cure)
    turned = replace(camera, R=camera.R.T, t=-camera.R.T @ camera.center)
    yield tried(
        "camera-axes",
        Change(turned),
        "its rotation is inverted",
        "Give the rotation from world to camera, not from camera to world.",
    )


def _continuous_faults(scene: Scene, excluded: set[int], i: int) -> Iterator[Hypothesis]:
    camera = scene.cameras[i]

    def fitted(change: Callable[[np.ndarray], Camera], starts: Iterable, step: float) -> tuple[np.ndarray, float]:
        """The best numbers for a change, and its cost: first by the outlines, which guide from afar, then by all."""

        def changed(x: np.ndarray) -> Scene:
            return scene.changed({i: Change(change(x))})

        best = min((np.atleast_1d(np.asarray(s, float)) for s in starts), key=lambda x: changed(x).cost(excluded))
        best_cost = changed(best).cost(excluded)
        judges = (
            (lambda x: changed(x).misfit(excluded) / LIMIT, step),
            (lambda x: changed(x).cost(excluded), step / 4),
        )
        for judge, width in judges:
            simplex = np.concatenate([best[None], best + width * np.eye(len(best))])
            options = {"initial_simplex": simplex, "maxfev": EVALUATIONS, "xatol": width / 20, "fatol": 0.01}
            found = minimize(judge, best, method="Nelder-Mead", options=options)
            if (cost := changed(found.x).cost(excluded)) < best_cost:
                best, best_cost = found.x, cost
        return best, best_cost

    x, cost = fitted(lambda x: _zoomed(camera, np.exp(x[0])), np.linspace(-0.5, 0.5, 11), 0.04)
    if LEAST_FOCAL < abs(x[0]) < MOST_FOCAL:
        by = f"{abs(np.expm1(-x[0])):.0%} too {'short' if x[0] > 0 else 'long'}"
        change = scene.changed({i: Change(_zoomed(camera, np.exp(x[0])))})
        cure = "Check its lens and sensor size, and that the photograph was not cropped or zoomed."
        small = abs(x[0]) < SMALL_FOCAL
        yield Hypothesis("camera-focal", (i,), change, cost + SIMPLE, f"its focal length looks {by}", cure, small)
    x, cost = fitted(lambda x: _rolled(camera, x[0]), np.linspace(-32, 32, 9), 2.0)
    if abs(x[0]) > LEAST_ROLL:
        change = scene.changed({i: Change(_rolled(camera, x[0]))})
        yield Hypothesis(
            "camera-turned",
            (i,),
            change,
            cost + SIMPLE,
            f"it is turned by about {abs(x[0]):.0f} degrees about its viewing axis",
            "Correct its rotation.",
            abs(x[0]) < SMALL_TURN,
        )
    pointed = _pointing(scene, i)
    x, cost = fitted(lambda x: _turned(camera, x), [np.zeros(3), pointed], np.radians(1.5))
    angle = np.degrees(np.linalg.norm(x))
    change = scene.changed({i: Change(_turned(camera, x))})
    if angle > TURN_NOT_SHIFT:
        yield Hypothesis(
            "camera-turned",
            (i,),
            change,
            cost + 3 * SIMPLE,
            f"it is turned by about {angle:.0f} degrees",
            "Correct its rotation.",
            angle < SMALL_TURN,
        )
    start = np.tan(pointed[[1, 0]]) * [camera.K[0, 0], -camera.K[1, 1]]
    starts = [np.zeros(2), start if np.linalg.norm(start) < camera.width / 2 else np.zeros(2)]
    x, cost = fitted(lambda x: _shifted(camera, x), starts, 0.02 * camera.width)
    size = np.linalg.norm(x)
    degrees = np.degrees(np.arctan(size / camera.K[0, 0]))
    if degrees > LARGEST_SHIFT:
        change = scene.changed({i: Change(_shifted(camera, x))})
        what, cure = f"it is turned by about {degrees:.0f} degrees", "Correct its rotation."
        yield Hypothesis("camera-turned", (i,), change, cost + 2 * SIMPLE, what, cure)
    elif degrees > LEAST_TURN:
        change = scene.changed({i: Change(_shifted(camera, x))})
        what = f"its principal point is off by about {size:.0f} pixels"
        if degrees < TURN_NOT_SHIFT:
            what += f" (or it is turned by {degrees:.1f} degrees)"
        cure = "Check the principal point or lens shift, and that the photograph was not cropped."
        yield Hypothesis("camera-center", (i,), change, cost + 2 * SIMPLE, what, cure, small=True)


def _pointing(scene: Scene, i: int) -> np.ndarray:  # [3] rotation vector
    """The turn after which the middle of the view's silhouette is where the head is."""
    camera = scene.cameras[i]
    box = scene.agreement.silhouettes[i].box
    middle = scene.agreement.silhouettes[i].camera.rays(((box[:2] + box[2:]) / 2)[None])[0]
    middle = camera.R @ middle
    head = camera.R @ (scene.sphere.center - camera.center)
    head /= np.linalg.norm(head)
    axis = np.cross(head, middle)
    sine = np.linalg.norm(axis)
    return axis / max(sine, 1e-9) * np.arctan2(sine, head @ middle)


def _zoomed(camera: Camera, by: float) -> Camera:
    return replace(camera, K=camera.K @ np.diag([by, by, 1.0]))


def _rolled(camera: Camera, degrees: float) -> Camera:
    return _turned(camera, np.radians([0, 0, degrees]))


def _turned(camera: Camera, vector: np.ndarray) -> Camera:
    R = Rotation.from_rotvec(vector).as_matrix()
    return replace(camera, R=R @ camera.R, t=R @ camera.t)


def _shifted(camera: Camera, by: np.ndarray) -> Camera:
    K = camera.K.copy()
    K[:2, 2] += by
    return replace(camera, K=K)


def _finding(scene: Scene, best: Hypothesis) -> Finding:
    views = tuple(scene.cameras[i].name for i in best.views)
    if best.code == "photos-exchanged":
        sentence = f"The photographs of {names(views)} seem to have changed places."
        return Finding(best.code, ERROR, views, sentence, "Give each camera its own photograph.")
    return Finding(best.code, ERROR, views, f"Camera {names(views)} does not fit the others: {best.what}.", best.cure)


def _unexplained(scene: Scene, i: int, excluded: set[int], given: Sequence[bool]) -> Finding:
    """A view that the others agree without, and no single error of its camera explains it."""
    name = scene.cameras[i].name
    mine = scene.compared(excluded, touching=i)
    if any(pair.confirms for pair in mine) and not any(pair.contradicts for pair in mine):
        owner = "mask" if given[i] else "predicted mask"
        sentence = f"The {owner} of '{name}' disagrees with the other views; its camera looks right."
        cure = "Correct the mask." if given[i] else "Give the view a mask."
        return Finding("mask-disagrees", WARNING, (name,), sentence, cure)
    sentence = f"Camera '{name}' does not fit the others: its pose, its lens or its mask is wrong."
    return Finding("camera-disagrees", ERROR, (name,), sentence, "Solve this camera again, or leave it out.")
