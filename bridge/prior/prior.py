"""The fitted head as everything after it needs it: virtual views, a sphere to start from, landmarks, what is unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..capture.normal_map import NormalMap
from ..errors import Check, unchecked
from ..head.landmarks import Face
from ..head.triangulate import Landmarks
from ..model import head_model
from ..solve import Target
from .covered import covered_shares
from .evidence import LANDMARK_SHARE, View
from .fit import Fitted, fit, inverse
from .profile import ODD, start_from_side
from .start import start
from .virtual import seen_shares, virtual_targets, without_body

MOST_VIEWS = 5  # from six on photographs speak for themselves
MARGIN = 1.15  # of the sphere around the fitted head: hair and shoulders are beyond it
BODY_VIEWS, BODY_DEG = 4, 120.0  # photographs, and degrees around the neck between two, from which on a body is told
SIDES = {
    "the front": (0.0, 0.0, 1.0),
    "the left": (1.0, 0.0, 0.0),
    "the right": (-1.0, 0.0, 0.0),
    "behind": (0.0, 0.0, -1.0),
}
UNSEEN_SHARE = 0.5  # of a side's surface: then a photograph from there is worth it


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known of this head before it is carved."""

    fitted: Fitted
    share: np.ndarray  # [V] 0..1: how well photographs see each vertex of the model
    targets: list[Target]
    frame: HeadFrame
    landmarks: Landmarks
    covered: list[float]  # 0..1 of every view's face: what does not face as a face does

    def evidence(self, targets: Sequence[Target]) -> list[Target]:
        """All that the head is carved from: the photographs and the model's views. Where the photographs tell how deep
        a body is, the model's views are silent about it; else the photographs are."""
        model = head_model.load()
        photographs, views = list(targets), self.targets
        if tells_depth(inverse(self.fitted.pose).camera(target.camera) for target in targets):
            views = [without_body(view, self.fitted, model) for view in views]
        else:
            photographs = [without_body(target, self.fitted, model) for target in photographs]
        return [*photographs, *views]

    @property
    def unseen(self) -> tuple[float, tuple[str, ...]]:
        """Share of the head that no photograph shows, and from where more photographs would show it."""
        model = head_model.load()
        template = model.template
        head = template.regions["exposed"] & ~template.regions["neck"]
        out = self.fitted.vertices - self.fitted.vertices[head].mean(0)
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        missing = []
        for name, direction in SIDES.items():
            side = head & (out @ np.array(direction) > 0.8)
            if 1 - self.share[side].mean() > UNSEEN_SHARE:
                missing.append(name)
        return float(1 - self.share[head].mean()), tuple(missing)


def know(
    maps: Sequence[NormalMap],
    faces: Sequence[Face | None],
    widths: Sequence[int],
    unit_mm: float | None,
    *,
    landmark_share: float = LANDMARK_SHARE,
    check: Check = unchecked,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Prior | None:
    """The model head fitted to one to five views; None where no view shows a face, not even
    from the side.

    faces: in pixels of photographs of these widths. unit_mm: of the world, None where nobody knows.
    """
    model = head_model.load()
    views = [View.of(found, face, width) for found, face, width in zip(maps, faces, widths, strict=True)]
    pose = start(model.template, [view.camera for view in views], [view.face for view in views], unit_mm)
    aside = pose is None
    if pose is None:
        pose = start_from_side(views, unit_mm)
    if pose is None:
        return None
    fitted = fit(model, views, pose, unit_mm, check=check, step=step, landmark_share=landmark_share)
    covered = covered_shares(fitted, model, views)
    if aside and max(covered) > ODD:
        return None
    shares = seen_shares(fitted, model, [view.matte for view in views])
    targets = virtual_targets(fitted, model, shares)
    world = fitted.pose.points(fitted.vertices)
    marks = model.template.landmarks
    assert marks is not None  # our model has them
    landmarks = Landmarks(
        marks.points(world), fitted.pose.scale * marks.points(fitted.sigma[:, None])[:, 0],
        tuple(view.camera.name for view in views if view.face is not None), fitted.landmark_px,
    )  # fmt: skip
    start_from = sphere(world[~model.template.regions["neck"]], fitted)
    return Prior(fitted, shares.max(0), targets, start_from, landmarks, covered)


def tells_depth(cameras: Iterable[Camera]) -> bool:
    """Whether photographs show a body from enough sides; cameras in the model's frame."""
    level = np.array([camera.center for camera in cameras])[:, [0, 2]]
    level /= np.maximum(np.linalg.norm(level, axis=1, keepdims=True), 1e-9)  # one may look straight down
    return len(level) >= BODY_VIEWS and float((level @ level.T).min()) < np.cos(np.radians(BODY_DEG))


def sphere(points: np.ndarray, fitted: Fitted) -> HeadFrame:
    """Around the head's points [n, 3] (world)."""
    center = (points.min(0) + points.max(0)) / 2
    return HeadFrame(center, float(MARGIN * np.linalg.norm(points - center, axis=1).max()), fitted.pose.rotation[:, 1])
