"""The optimisation loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..capture.framing import HeadFrame, head_frame
from ..errors import Check, unchecked
from ..mesh import Mesh
from ..mesh.remesh import HalfEdgeMesh
from ..mesh.topology import icosphere
from ..raster import LossSettings, Rasteriser, make_rasteriser, on_device
from . import schedule
from .cleanup import clean_up
from .contacts import separate_self_contacts
from .motion import move
from .optimise import EXTRA_COLUMNS, SEEN, Motion
from .settings import SolveSettings
from .targets import Level, Target, build_level

START_LEVEL = 3  # 642 vertices
START_RADIUS = 0.5  # of the head's: inside the head, so that the surface only has to grow
FILL = 0.9  # share of the vertex limit to aim at: splits must stay possible where they are needed
MOST_BUDGET = 1.3  # how many times the wanted vertices the density may be asked for
SORT_EVERY = 20  # steps between two Morton sorts
SEPARATE_EVERY = 10  # steps between two looks for self-contacts


@dataclass(frozen=True)
class Progress:
    """What one step reports."""

    done: int  # steps taken
    total: int  # steps planned: fewer from where the loss stands still
    work: float  # share of the work that is done (schedule.work)
    loss: float
    vertices: int


class Solver:
    """Iterating takes the steps; the caller may stop at any time and call finish().

    Works in the head's frame (unit sphere, the first camera's axes, float32) and returns world coordinates (float64):
    the world's scale, its turn and its distance from the origin do not matter. start: a sphere to begin with; None
    takes it from the masks' boxes.
    check is called now and then, more often than once a step; what it raises ends the work.
    Raises ValueError with a sentence when fewer than 2 views have a mask.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        settings: SolveSettings,
        start: HeadFrame | None = None,
        check: Check = unchecked,
    ) -> None:
        boxes = np.stack([target.box() for target in targets]) if targets else np.empty((0, 4))
        if np.isfinite(boxes).all(1).sum() < 2:
            raise ValueError("the head is masked in fewer than 2 views: there is nothing to reconstruct from")
        # images finer than the maps show nothing more, and take longer
        finest = max(max(target.camera.width, target.camera.height) for target in targets)
        self.settings = replace(settings, resolution=min(settings.resolution, max(finest, 16)))
        self._check = check
        frame = start or head_frame([target.camera for target in targets], boxes)
        self.frame = replace(frame, axes=targets[0].camera.R)
        self._targets = list(targets)
        self._levels: list[tuple[Level, Rasteriser]] = []  # of the current stage, one a group of views
        self._stage = -1
        self._budget = 1.0
        self._losses: list[float] = []
        self._first_of_stage = 0
        self._still: int | None = None  # the step from which on the loss stood still
        self._loss = LossSettings(settings.loss, settings.mask_weight)
        self._done = 0
        sphere, faces = icosphere(START_LEVEL, START_RADIUS)
        sphere = sphere @ _rotation(settings.seed).T
        self._mesh: Any = HalfEdgeMesh(sphere, faces, schedule.LONGEST, EXTRA_COLUMNS)
        self._move: Any = move  # these three by turns for the host or for a device
        self._separate: Any = separate_self_contacts
        if on_device(settings.raster):
            from ..mesh.device_mesh import DeviceMesh
            from .device_motion import DeviceMotion

            motion = DeviceMotion()
            self._mesh = DeviceMesh(self._mesh)
            self._move, self._separate = motion.move, motion.separate_self_contacts

    def __iter__(self) -> Iterator[Progress]:
        while self._done < schedule.last_step(self.settings, self._still):
            loss = self._step(self._fraction())
            self._done += 1
            self._losses.append(loss)
            if self._still is None and self._converged():
                self._still = self._done
            total = schedule.last_step(self.settings, self._still)
            work = schedule.work(self.settings, len(self._targets), self._fraction())
            yield Progress(self._done, total, work, loss, self._mesh.vertex_count)

    def _fraction(self) -> float:
        return schedule.fraction_at(self.settings, self._still, self._done)

    def mesh(self) -> Mesh:
        """The mesh of this moment: closed, manifold, outward."""
        return self._world(self._mesh.data[:, :3], self._mesh.faces)

    def finish(self) -> Mesh:
        """The mesh after the final clean-up. May be called after any number of steps."""
        return self._world(*clean_up(self._mesh.host_surface(), self._mesh.data[:, SEEN], self._check))

    def _world(self, vertices: np.ndarray, faces: np.ndarray) -> Mesh:
        return Mesh(self.frame.world(vertices.astype(np.float64)), faces.copy())

    def _step(self, fraction: float) -> float:
        stage = schedule.stage_at(self.settings, fraction)
        self._enter(stage)
        surface = self._mesh.surface()
        level, rasteriser = self._levels[self._done % len(self._levels)]
        loss, gradient = rasteriser.loss_and_gradient(surface, level.images, self._loss)
        self._move(self._mesh, surface, gradient, self._motion(stage, fraction))
        if self._done + 1 < schedule.last_step(self.settings, self._still):
            self._mesh.remesh(self.settings.max_vertices)
            if (self._done + 1) % SORT_EVERY == 0:
                self._mesh.sort_memory()
            if (self._done + 1) % SEPARATE_EVERY == 0:
                self._separate(self._mesh)
        return float(loss)  # last: on a GPU this waits for it

    def _converged(self) -> bool:
        last = self._stage == len(schedule.plan_of(self.settings).stages) - 1
        return last and schedule.has_converged(self._losses, self._first_of_stage)

    def _enter(self, stage: int) -> None:
        """Builds the target images of a stage when it begins."""
        if stage == self._stage:
            return
        self._stage, self._first_of_stage = stage, self._done
        self._levels = []
        chosen = schedule.plan_of(self.settings).stages[stage]
        resolution = schedule.resolution_of(self.settings, chosen)
        groups = schedule.view_groups(self.settings, len(self._targets), chosen)
        for group in groups:
            targets = [self._targets[i] for i in group]
            level = build_level(targets, self.frame, resolution, self.settings.alpha, self._check)
            self._levels.append((level, make_rasteriser(self.settings.raster, level.cameras)))

    def _motion(self, stage: int, fraction: float) -> Motion:
        """What the optimiser is told at this stage."""
        chosen = schedule.plan_of(self.settings).stages[stage]
        wanted = schedule.wanted_vertices(self.settings, chosen)
        # the edges settle somewhat above their lower limit: ask for more vertices until they are there
        self._budget = min(max(self._budget * (FILL * wanted / self._mesh.vertex_count) ** 0.1, 0.5), MOST_BUDGET)
        shortest = min((self.settings.min_edge or 0.0) / self.frame.radius, schedule.LONGEST)
        return Motion(
            self._done + 1,
            schedule.learning_rate(self.settings, fraction),
            schedule.laplacian_weight(self.settings, chosen),
            schedule.laplacian_order(self.settings, chosen),
            schedule.diffusion(self.settings, chosen, fraction),
            self.settings.relief,
            wanted * self._budget,
            shortest,
            schedule.LONGEST,
            schedule.least_laplacian(self.settings),
        )


def _rotation(seed: int) -> np.ndarray:  # [3, 3]
    """A rotation for the start sphere; the identity for seed 0."""
    if seed == 0:
        return np.eye(3)
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))
