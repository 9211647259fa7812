"""The record of one run: what travels through the stages, and the means that every stage shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..capture.framing import HeadFrame
from ..capture.inputs import Inputs
from ..check.findings import Finding
from ..head.landmarks import Face
from ..photometric import Matched
from ..prior.prior import Prior
from ..refine import Refined
from ..report.quality import ViewQuality
from ..service.protocol import JobSettings, Result, Run
from ..service.reporter import Reporter
from ..solve import Coverage, Mesh, SolveSettings, Target
from .cache import Cache
from .predictors import Predictors
from .preview import Previews

NORMALS_SIZE = 512  # pixels of the longer side of a predicted map


@dataclass
class Job:
    """One run, filled in stage by stage. A field without a default is there once the stage that makes it has run."""

    run: Run
    map_size: int = NORMALS_SIZE
    inputs: Inputs = field(init=False)  # capture, photographs, masks; then the maps of every view
    solve: SolveSettings = field(init=False)
    loose: bool = False  # whether the check found that all cameras may be a little off
    checked: list[Finding] = field(default_factory=list)  # what it found last, for the stages that follow
    postponed: list[Finding] = field(default_factory=list)  # what it found, until it is known whether they move
    moved: bool = False  # whether the cameras' poses are others than the capture's
    faces: dict[str, Face | None] = field(default_factory=dict)  # by view, once they were looked for
    refined: Refined | None = None
    prior: Prior | None = None  # of one to five photographs: the model's head
    targets: list[Target] = field(init=False)
    frame: HeadFrame = field(init=False)  # the sphere around the head that the solver starts from
    mesh: Mesh = field(init=False)
    steps: int = 0  # of inverse rendering
    matched: Matched | None = None
    views: list[ViewQuality] = field(init=False)
    coverage: Coverage = field(init=False)
    normal_error: np.ndarray = field(init=False)  # [V] float32 degrees
    expected_error: np.ndarray | None = None  # [V] float32 world units, if the photographs were compared
    eyes: np.ndarray | None = None  # [2, 3] the subject's left and right one in the world, where the network tells
    color: np.ndarray = field(init=False)  # [V, 3] uint8 sRGB
    findings: list[Finding] = field(default_factory=list)  # of the stage that runs; told at its end
    result: Result | None = None

    @property
    def settings(self) -> JobSettings:
        return self.run.settings

    @property
    def output(self) -> Path:
        return Path(self.run.output)

    @property
    def sharp(self) -> list[int]:
        """The views whose photographs show detail: all but those that the check calls blurred, if two are left."""
        blurred = {name for found in self.checked if found.code == "photo-blurred" for name in found.views}
        views = [i for i, view in enumerate(self.inputs.capture.views) if view.name not in blurred]
        return views if len(views) >= 2 else list(range(len(self.inputs.capture.views)))


@dataclass(frozen=True)
class Tools:
    """What stages use and do not own."""

    report: Reporter
    cache: Cache
    predictors: Predictors
    previews: Previews


@dataclass(frozen=True)
class Cached:
    """How a stage's result is kept by content: the same photographs never pay for it twice."""

    key: Callable[[Job, Tools], str]
    pack: Callable[[Job], dict[str, np.ndarray]]
    unpack: Callable[[Job, dict[str, np.ndarray]], None]

    def run(self, function: Callable[[Job, Tools], None], job: Job, tools: Tools) -> None:
        """The function's work on the job, or what it left there when it last met the same content."""
        key = self.key(job, tools)
        stored = tools.cache.get(key)
        if stored is not None:
            try:
                return self.unpack(job, stored)
            except (KeyError, ValueError, TypeError, AttributeError):
                pass  # of another version, or damaged: once more
        function(job, tools)
        tools.report.check()
        stored = self.pack(job)
        tools.cache.put(key, stored)
        return self.unpack(job, stored)  # a fresh result goes through the stored form too: the same to the bit


@dataclass(frozen=True)
class Stage:
    """One step of a run. Progress, cancel, Finish Now, cache and timing are the runner's; the function only works."""

    name: str  # for the artist: "Carving the head"
    share: float  # of the time of a usual run on a CPU; those that take part are scaled to a whole
    condition: Callable[[JobSettings], bool]  # does it take part?
    function: Callable[[Job, Tools], None]
    cached: Cached | None = None
    extra: bool = False  # left out once the artist has asked for what there is
    forgiven: tuple[type[Exception], ...] = ()  # failures that go into the log and do not end the run
