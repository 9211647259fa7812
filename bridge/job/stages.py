"""The table of stages: a run is these lines from top to bottom. A new stage is a file of its own and one line here."""

from __future__ import annotations

import numpy as np

from . import (
    carve,
    color,
    draw_normals,
    leave_out,
    match,
    measure,
    predict,
    preflight,
    prepare,
    prior,
    read,
    refine_cameras,
    refine_surface,
    texture,
    wrap,
    write,
)
from .conditions import (
    always,
    carving_predicted,
    for_maps,
    for_mesh,
    matching,
    measured,
    predicted,
    preparing,
    refining,
    texturing,
    wrapping,
)
from .record import Stage

# A check that fails never stops a run, which may well succeed.
CHECK_FAILURES = (ValueError, ArithmeticError, np.linalg.LinAlgError, IndexError)

READ = Stage("Reading photos", 0.04, always, read.read)
PREPARE = Stage("Preparing Skullptor, once, about 2 minutes", 1.2, preparing, prepare.prepare)
READ_NORMALS = Stage("Reading normals", 0.02, measured, predict.read_measured)
PREDICT = Stage("Predicting normals", 0.30, predicted, predict.predict, cached=predict.CACHED)
LEAVE_OUT = Stage("Looking for the head", 0.01, carving_predicted, leave_out.leave_out)
DRAW = Stage("Drawing", 0.04, for_maps, draw_normals.draw)
CHECK = Stage("Checking the cameras", 0.03, for_mesh, preflight.check, preflight.CACHED, forgiven=CHECK_FAILURES)
REFINE = Stage("Refining the cameras", 0.04, refining, refine_cameras.refine_cameras)
LEAVE_OUT_FAULTY = Stage("Leaving out what is wrong", 0.001, for_mesh, leave_out.leave_out_faulty)
LAY = Stage("Laying a head on the photographs", 0.03, for_mesh, prior.lay_head)
CARVE = Stage("Carving the head", 0.25, for_mesh, carve.carve)
MATCH = Stage("Matching the photographs", 0.12, matching, match.match, extra=True)
REFINE_SURFACE = Stage("Refining the surface", 0.30, matching, refine_surface.refine, extra=True)
MEASURE = Stage("Measuring", 0.06, for_mesh, measure.measure)
COLOR = Stage("Colouring", 0.03, for_mesh, color.color)
TEXTURE = Stage("Texturing", 0.25, texturing, texture.texture)
WRAP = Stage("Wrapping the template", 0.12, wrapping, wrap.wrap_head, extra=True)
WRITE = Stage("Writing the head", 0.03, for_mesh, write.write)

STAGES = (
    READ,
    PREPARE,
    READ_NORMALS,
    PREDICT,
    LEAVE_OUT,
    DRAW,
    CHECK,
    REFINE,
    LEAVE_OUT_FAULTY,
    LAY,
    CARVE,
    MATCH,
    REFINE_SURFACE,
    MEASURE,
    COLOR,
    TEXTURE,
    WRAP,
    WRITE,
)
