"""The surface to the last pixel: photographs compared through the mesh at rising resolution, step by step.

First what is far off is mended (mend.py). Then at every resolution each view is laid over its neighbours through the
mesh (warp.py), the windowed correlation says how the surface should move (correlation.py, evidence.py), and one sparse
solve moves all vertices along their normals, against the bending of the surface (step.py). Between two resolutions the
mesh is remeshed (density.py).
Faugeras and Keriven 1998; Vu, Labatut, Pons and Keriven 2012; with Gauss-Newton steps instead of a gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HeadFrame
from ..errors import Check, unchecked
from ..mesh import Mesh, Surface
from ..solve.cleanup import untangle
from .accuracy import expected_error
from .density import remeshed
from .evidence import Evidence, collect, partners_of
from .mend import mended
from .pictures import Photographs, Pictures, pixels_across
from .poses import COARSE_PX, LEAST_PX, corrections, moved, pixels_moved, placed
from .step import Bending, solve


@dataclass(frozen=True)
class Level:
    """One resolution: pixels across the head's sphere, steps, vertices that so many pixels can carry."""

    across: int
    steps: int
    vertices: int


LEVELS = (Level(250, 6, 25_000), Level(500, 6, 60_000), Level(1000, 6, 100_000), Level(2000, 6, 400_000),
          Level(4000, 6, 1_000_000))  # fmt: skip
# Strength of the bending energy, and from which difference of the mean curvature to the local one (1 / radius of the
# head's sphere) it gives way: lips and lids are no noise. Found on valid_wf2 and looked at on marble_bust and nefertiti
# (degrees at standard): 400, 40 1.91 1.80 3.43; 400, 8 1.69 1.83 3.26; 600, 8 1.72 1.73 3.42; 800, 8 1.76 1.71 3.52;
# 600, 12 1.90 1.84 -
BENDING, SHARP = 600.0, 8.0
REACH = 0.01  # of the head's radius: over which the curvature's local mean is taken
# Where photographs are silent the bending energy may smooth what is shorter than this (radii of the head), and what is
# longer stays: shoulders, the back of a crown that two views see at a grazing angle
STAYS = 0.3
ANCHOR = 400.0 * (2 * np.pi / STAYS) ** 4  # information per area about staying
STAYS_SEEN = 1e4  # times that, where the only photograph sees the surface
UNSEEN_STEPS = 6  # of smoothing what it does not see
BOTH_WAYS = 2  # steps at the end of a level that compare every pair of views both ways
MENDED = 500  # pixels across: up to there a mesh that was mended is looked at again
FARTHEST = 1.5  # pixels a vertex moves in a step
FINE_ENOUGH = 0.7  # share of a level's pixels that the photographs must have for it to be worth its time
OUTVOTED = 0.5  # a view whose correlation is less than this share of the usual one is of something else, or blurred


@dataclass(frozen=True, eq=False)
class Refined:
    """The refined mesh, and what the photographs said about themselves."""

    mesh: Mesh
    expected_error: np.ndarray  # [V] float32 world units: half of such vertices lie nearer to the true surface
    mean_ncc: np.ndarray  # [views] mean correlation with the partners at the last resolution, NaN where unknown
    outvoted: tuple[int, ...]  # views that were left out because they show something else
    cameras: list[Camera]  # in the poses that the photographs asked for, or as they were given
    moved_px: float  # how far these moved the head in the photographs that were kept, on average; 0: not at all


def levels_for(pixels_across: float, finest: int, vertices: int) -> list[Level]:
    """The resolutions worth working at. pixels_across: of the head in the sharpest photographs."""
    finer = [level for level in LEVELS[1:] if level.across <= finest and pixels_across >= FINE_ENOUGH * level.across]
    return [Level(level.across, level.steps, min(level.vertices, vertices)) for level in (LEVELS[0], *finer)]


@dataclass(frozen=True)
class Detail:
    """How far to go: pixels across the head's sphere at the last resolution, most vertices of the result, and whether
    the cameras may be moved where the photographs ask for it."""

    finest: int
    vertices: int
    poses: bool = True


@dataclass(frozen=True)
class Watch:
    """Who looks on: check raises when the run is cancelled, step hears of every step, enough asks to stop with what
    there is."""

    check: Check = unchecked
    step: Callable[[int, int], None] = lambda done, total: None
    enough: Callable[[], bool] = lambda: False


def refine_surface(
    mesh: Mesh, photographs: Photographs, frame: HeadFrame, detail: Detail, watch: Watch = Watch()
) -> Refined:
    """Move a closed mesh that is right to a pixel or two to where the photographs agree, with new connectivity."""
    across = [pixels_across(frame.normalise(c)) * photographs.growth(i) for i, c in enumerate(photographs.cameras)]
    levels = levels_for(float(np.median(across)), detail.finest, detail.vertices)
    given = photographs.cameras
    total, done = sum(level.steps for level in levels), 0
    points, faces = frame.local(mesh.vertices), mesh.faces
    trust = np.ones(len(across))
    evidence: Evidence | None = None
    folded = True  # as far as anybody knows
    for level in levels:
        pictures = Pictures.of(photographs, frame, level.across, points)
        if evidence is not None:
            points, faces = remeshed(points, faces, evidence.information > 0, level.vertices, watch.check)
        if folded and level.across <= MENDED:
            before = points
            points, faces = mended(points, faces, pictures, partners_of(pictures, trust), watch.check)
            folded = points is not before
        surface = Surface.of(points, faces)
        for number in range(level.steps):
            if detail.poses and number == level.steps // 2:
                least = COARSE_PX if level is levels[0] else LEAST_PX
                twists = corrections(points, faces, pictures, trust, watch.check, least_px=least)
                if twists is not None:
                    pictures = placed(pictures, twists)
                    cameras = [moved(*each, frame.radius) for each in zip(photographs.cameras, twists, strict=True)]
                    photographs = replace(photographs, cameras=cameras)
            turn = number if number < level.steps - BOTH_WAYS else None
            evidence = collect(points, faces, pictures, trust, watch.check, turn=turn)
            trust = np.where(_outvoted(evidence.mean_ncc), 0.0, trust)
            watch.check()
            bending = Bending.of(surface.moved(points), BENDING, REACH, SHARP)
            apart = evidence.apart if number >= level.steps // 2 else None  # first far, then settle
            far = FARTHEST * pictures.pixel
            motion = solve(evidence.information, evidence.force, bending, far, ANCHOR, apart=apart)
            points = points + motion[:, None] * bending.normals
            done += 1
            watch.step(done, total)
            if watch.enough():
                break
        surface = surface.moved(points)
        untangle(surface, watch.check)
        points = surface.vertices
        if watch.enough():
            break
    assert evidence is not None  # there is a level, and it has steps
    return Refined(
        Mesh(frame.world(points), faces),
        expected_error(surface, evidence.information, bending.areas) * np.float32(frame.radius),
        evidence.mean_ncc,
        tuple(int(i) for i in np.flatnonzero(trust == 0)),
        list(photographs.cameras),
        pixels_moved(given, photographs.cameras, frame),
    )


def smooth_unseen(mesh: Mesh, seen: np.ndarray, frame: HeadFrame, check: Check = unchecked) -> Mesh:
    """What a single photograph sees stays, and the rest becomes as smooth as the bending energy wants it.

    seen [V] 0..1. Of a place that no photograph shows nobody knows more than its broad shape: what the carve left of
    finer shape there is noise.
    """
    points = frame.local(mesh.vertices)
    surface = Surface.of(points, mesh.faces)
    for _ in range(UNSEEN_STEPS):
        check()
        bending = Bending.of(surface.moved(points), BENDING, REACH, SHARP)
        stays = STAYS_SEEN * ANCHOR * seen * bending.areas
        points = points + solve(stays, np.zeros_like(stays), bending, REACH, ANCHOR)[:, None] * bending.normals
    surface = surface.moved(points)
    untangle(surface, check)
    return Mesh(frame.world(surface.vertices), mesh.faces)


def _outvoted(mean_ncc: np.ndarray) -> np.ndarray:  # [views] bool
    known = np.isfinite(mean_ncc)
    if known.sum() < 3:
        return np.zeros(len(mean_ncc), bool)
    return known & (np.nan_to_num(mean_ncc) < OUTVOTED * np.median(mean_ncc[known]))
