"""Frames one after another by a worker that stays warm: predictors, videos and the compiled solver are kept."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..capture.inputs import read_inputs
from ..errors import BridgeError
from ..head.landmarks import Landmarker
from ..job.cache import Cache
from ..job.runner import JobRunner
from ..model.package import LANDMARKS, need
from ..report import results
from ..service.protocol import Error, Message, Run, Warning
from ..service.wire import Control
from .frames import Source
from .identity import load_identity
from .plan import Plan
from .store import BODY, Failure, Outcome, Store, full
from .track import Tracker

LOST = 0.75  # mean difference of look: two unlike pictures have about 1

VERTICES, WRAPPED, TRACK = "vertices.npy", "wrap.npz", "track.npz"


SolveFrame = Callable[[int, Path, Control], dict]  # number, empty folder -> what frame.json tells


class Worker:
    """Solves frames of one plan and puts them into its store."""

    def __init__(self, plan: Plan, resume: bool = False, solve: SolveFrame | None = None) -> None:
        self.plan = plan
        self.resume = resume
        self.source = plan.open()
        self.store = Store(Path(plan.output))
        self._solve = solve or solver(plan, self.source)

    def frame(self, number: int, control: Control | None = None) -> Outcome:
        """Solve a frame, unless it is finished already; its failure is noted and is no exception.

        Raises BridgeError "output" where the disk refuses, because then no other frame can be finished either;
        Cancelled.
        """
        began = time.monotonic()
        failure = None
        try:
            key = self.plan.key(self.source, number)
            if self.resume and self.store.done(number, key):
                return Outcome(number, 0.0, kept=True)
            with self.store.work(number, key) as folder:
                body = self._solve(number, folder, control or Control())
                results.write_json(folder / BODY, body)
        except BridgeError as error:
            if error.code == "output":
                raise full(error) from None
            failure = Failure(number, error.code, error.sentence, error.cure)
            self.store.fail(failure)
        return Outcome(number, round(time.monotonic() - began, 3), failure)


class Reconstruction:
    """The whole reconstruction of a frame, with the template laid on it where one is asked for."""

    def __init__(self, plan: Plan, source: Source) -> None:
        self.plan, self.source = plan, source
        self._runner = JobRunner(Cache(Path(plan.output) / "cache"))

    def __call__(self, number: int, folder: Path, control: Control) -> dict:
        made = folder / "made"
        capture = self.source.place(number, folder / "capture")
        errors: list[Error] = []
        warnings: list[Warning] = []

        def hear(message: Message) -> None:
            if isinstance(message, Error):
                errors.append(message)
            elif isinstance(message, Warning):
                warnings.append(message)

        self._runner.run(Run(f"frame {number}", str(capture), str(made), self.plan.settings), hear, control)
        control.check()
        if errors:
            raise BridgeError(errors[0].code, errors[0].sentence, errors[0].cure)
        if self.plan.settings.wrap and not (made / "wrap" / "wrap.npz").is_file():
            reason = warnings[-1] if warnings else Warning("", "wrap", "The template cannot be laid on the head.")
            raise BridgeError(reason.code, reason.sentence, reason.cure)
        body = self._keep(made, folder)
        shutil.rmtree(made)
        shutil.rmtree(folder / "capture", ignore_errors=True)
        return body | {"warnings": [warning.sentence for warning in warnings]}

    def _keep(self, made: Path, folder: Path) -> dict:
        """Move what stays of a run's files; what frame.json tells."""
        body: dict = {}
        if self.plan.dense or not self.plan.settings.wrap:
            (made / "head.ply").rename(folder / "head.ply")
        if self.plan.settings.wrap:
            with np.load(made / "wrap" / "wrap.npz", allow_pickle=False) as arrays:
                np.save(folder / VERTICES, arrays["vertices"].astype(np.float32))
            (made / "wrap" / WRAPPED).rename(folder / WRAPPED)
            body = json.loads((made / "wrap" / "report.json").read_text(encoding="utf-8"))
            body = {name: body[name] for name in ("template", "expression", "quality")}
        report = json.loads((made / "report.json").read_text(encoding="utf-8"))
        return body | {"vertices": report["vertices"], "normal_error_deg": report["normal_error_deg"]}


class Tracking:
    """A frame of a known identity: no carving, the template goes to the photographs; its dense head on request."""

    def __init__(self, plan: Plan, source: Source) -> None:
        self.source = source
        alone = replace(plan, identity="", settings=replace(plan.settings, wrap=""))
        self._dense = Reconstruction(alone, source) if plan.dense else None
        self._tracker = Tracker(load_identity(Path(plan.identity)), Landmarker(need(LANDMARKS)))

    def __call__(self, number: int, folder: Path, control: Control) -> dict:
        capture = self.source.place(number, folder / "capture")
        inputs = read_inputs(capture)
        tracked = self._tracker.track(inputs.cameras, inputs.pixels, control.check)
        shutil.rmtree(folder / "capture", ignore_errors=True)
        if tracked.error > LOST:
            raise BridgeError(
                "frame-lost",
                f"The photographs of this frame look unlike the key frame ({tracked.error:.2f}; usual are 0.1 to 0.4).",
                "Nothing need be done: the frame is put between its neighbours. Or give a key frame nearer to it.",
            )
        pose = tracked.pose
        results.write_npz(folder / TRACK, R=pose.R, t=pose.t, expression=pose.expression, detail=tracked.detail)
        names = self._tracker.identity.shape_names
        used = {name: round(float(value), 4) for name, value in zip(names, pose.expression) if value > 0.02}
        body = {"views": len(inputs.photos), "unlike": round(tracked.error, 4), "expression": used}
        if self._dense is not None:
            body |= self._dense(number, folder, control)
        return body


def solver(plan: Plan, source: Source) -> SolveFrame:
    """Tracking where the plan knows who performs, else a whole reconstruction of every frame."""
    return Tracking(plan, source) if plan.identity else Reconstruction(plan, source)
