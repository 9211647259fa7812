"""The table of stages: a run is these lines from top to bottom. A new stage is a file of its own and one line here."""

from __future__ import annotations

import numpy as np

from ..service.protocol import JobSettings
from . import (
    carve,
    color,
    draw_normals,
    find_head,
    leave_out,
    match,
    measure,
    predict,
    preflight,
    read,
    texture,
    wrap,
    write,
)
from .record import Stage


def for_mesh(settings: JobSettings) -> bool:
    return settings.stage == "mesh"


def for_maps(settings: JobSettings) -> bool:
    return settings.stage == "normals"


def always(settings: JobSettings) -> bool:
    return True


def refining(settings: JobSettings) -> bool:
    return for_mesh(settings) and settings.refine_cameras


def measured(settings: JobSettings) -> bool:
    return settings.normals == "measured"


def predicted(settings: JobSettings) -> bool:
    return not measured(settings)


def carving_predicted(settings: JobSettings) -> bool:
    return for_mesh(settings) and predicted(settings)


def matching(settings: JobSettings) -> bool:
    return for_mesh(settings) and (predicted(settings) if settings.match is None else settings.match)


def texturing(settings: JobSettings) -> bool:
    return for_mesh(settings) and settings.texture is not None


def wrapping(settings: JobSettings) -> bool:
    return for_mesh(settings) and bool(settings.wrap)


# A check that fails never stops a run, which may well succeed.
CHECK_FAILURES = (ValueError, ArithmeticError, np.linalg.LinAlgError, IndexError)

READ = Stage("Reading photos", 0.04, always, read.read)
FIND_HEAD = Stage("Finding the head", 0.30, refining, find_head.find_head)
REFINE = Stage("Refining the cameras", 0.25, refining, find_head.refine_cameras)
READ_NORMALS = Stage("Reading normals", 0.02, measured, predict.read_measured)
PREDICT = Stage("Predicting normals", 0.30, predicted, predict.predict, cached=predict.CACHED)
LEAVE_OUT = Stage("Looking for the head", 0.01, carving_predicted, leave_out.leave_out)
DRAW = Stage("Drawing", 0.04, for_maps, draw_normals.draw)
CHECK = Stage("Checking the cameras", 0.03, for_mesh, preflight.check, preflight.CACHED, forgiven=CHECK_FAILURES)
CARVE = Stage("Carving the head", 0.30, for_mesh, carve.carve)
MATCH = Stage("Matching the photographs", 0.24, matching, match.match, extra=True)
MEASURE = Stage("Measuring", 0.06, for_mesh, measure.measure)
COLOR = Stage("Colouring", 0.03, for_mesh, color.color)
TEXTURE = Stage("Texturing", 0.25, texturing, texture.texture)
WRAP = Stage("Wrapping the template", 0.12, wrapping, wrap.wrap_head, extra=True)
WRITE = Stage("Writing the head", 0.03, for_mesh, write.write)

STAGES = (
    READ,
    FIND_HEAD,
    REFINE,
    READ_NORMALS,
    PREDICT,
    LEAVE_OUT,
    DRAW,
    CHECK,
    CARVE,
    MATCH,
    MEASURE,
    COLOR,
    TEXTURE,
    WRAP,
    WRITE,
)
