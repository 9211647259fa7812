"""Runs jobs: every stage of the table in turn, with progress, cancel, Finish Now, cache and errors in one place."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from ..errors import BridgeError, Cancelled
from ..files import claim_folder
from ..normals.sessions import out_of_memory
from ..service import memory
from ..service.protocol import Error, Message, Run, Status
from ..service.reporter import Reporter
from ..service.wire import Control, Send
from .cache import Cache
from .journal import Journal
from .predictors import Predictors
from .preview import Previews
from .record import NORMALS_SIZE, Job, Stage, Tools
from .stages import STAGES


class JobRunner:
    """Runs one job after another and keeps what makes the next one faster: predictors and the stage cache."""

    def __init__(self, cache: Cache | None = None, stages: Sequence[Stage] = STAGES) -> None:
        self.cache = cache or Cache()
        self.stages = tuple(stages)
        self._predictors = Predictors()

    def run(self, run: Run, send: Send, control: Control, map_size: int = NORMALS_SIZE) -> None:
        """One whole job. Sends everything but its Done; a failure is one Error message, never an exception.

        map_size: pixels of the longer side of predicted maps.
        """
        journal, ended = Journal(run), "failed"

        def tell(message: Message) -> None:
            journal.note(message)
            send(message)

        try:
            self._run(Job(run, map_size), tell, control, journal)
            ended = "done"
        except Cancelled:
            ended = "cancelled"
            tell(Status(run.id, "Cancelled."))
        except BrokenPipeError:
            raise
        except Exception as error:
            tell(as_error(run.id, error, journal.log))
        finally:
            journal.close(ended)
            self._predictors.leave_the_card()
            memory.give_back()

    def _run(self, job: Job, send: Send, control: Control, journal: Journal) -> None:
        claim_folder(job.output)
        journal.open()
        stages = [stage for stage in self.stages if stage.condition(job.settings)]
        whole = sum(stage.share for stage in stages)
        report = Reporter(job.run.id, send, control, {stage.name: stage.share / whole for stage in stages})
        tools = Tools(report, self.cache, self._predictors, Previews(report, job.output))
        for stage in stages:
            if stage.extra and control.finish.is_set():
                report.skip(stage.name)
            else:
                run_stage(stage, job, tools)
        if job.result is not None:
            send(job.result)


def run_stage(stage: Stage, job: Job, tools: Tools) -> None:
    """One stage on the job: reported, cached, its findings told. Raises what its function raises."""
    report = tools.report
    report.begin(stage.name)
    try:
        if stage.cached is None:
            stage.function(job, tools)
        else:
            stage.cached.run(stage.function, job, tools)
    except stage.forgiven:
        traceback.print_exc(file=sys.stderr)  # in the run's log
    for found in job.findings:
        report.warn(found.code, found.sentence, found.cure)
    job.findings = []
    report.end()


def as_error(run_id: str, error: Exception, log: Path) -> Error:
    """The message for any exception: our own sentences as they are, all others with their trace in the log."""
    if isinstance(error, BridgeError):
        return Error(run_id, error.code, error.sentence, error.cure)
    traceback.print_exc(file=sys.stderr)
    if out_of_memory(error):
        return Error(run_id, "memory", "There is not enough memory.", "Close other programs or choose a lower preset.")
    if isinstance(error, (ValueError, RuntimeError)):
        return Error(run_id, "failed", str(error) or type(error).__name__, "")
    cure = f"Please report it with '{log}'."
    return Error(run_id, "internal", f"The bridge met a fault of its own: {type(error).__name__}: {error}.", cure)
