"""Stage: from the sphere to the mesh whose rendered normals and outlines match the maps (paper section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..capture import masks
from ..capture.framing import HeadFrame, head_frame
from ..errors import BridgeError
from ..solve import Solver, Target
from ..solve.targets import make_targets
from .record import Job, Tools


def carve(job: Job, tools: Tools) -> None:
    """Stage: solve for the surface that has the maps' normals and outlines."""
    report = tools.report
    job.targets = make_targets(job.inputs.maps)
    job.frame = start_sphere(job.targets) if job.prior is None else job.prior.frame
    evidence = job.targets if job.prior is None else job.prior.evidence(job.targets)
    solver = Solver(evidence, job.solve, job.frame, report.check)
    for progress in solver:
        job.steps = progress.done
        report.step(progress.done, progress.total, progress.work)
        if report.control.finish.is_set():
            break
        tools.previews.offer(solver.mesh)
    job.mesh = solver.finish()


def start_sphere(targets: Sequence[Target]) -> HeadFrame:
    """The sphere the solver begins with: from the mattes, which say more than the optical axes."""
    boxes = masks.boxes([target.mask for target in targets])
    for target, box in zip(targets, boxes):
        if np.isnan(box).any():
            raise BridgeError(
                "mask-empty",
                f"No head was found in view '{target.camera.name}'.",
                "Check that its photograph shows the head, or give it a mask.",
            )
    return head_frame([target.camera for target in targets], boxes)
