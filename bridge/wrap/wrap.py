"""The whole wrap: pose and person, vertices, parts, shapes. Array functions; job/wrap.py knows files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..capture.cameras import Similarity
from ..errors import Check, unchecked
from ..mesh.closest import Target, face_normals
from ..mesh.normals import vertex_normals
from ..mesh.relax import relaxed
from ..model import PARTS, Template
from .deform import deform
from .fit import Fit, fit, inverse
from .parts import balls, off_the_eyes, place_parts
from .quality import Quality, measure
from .regions import Regions, find_regions, rigid_bodies
from .scan import LEAST_COSINE, Scan
from .shapes import transfer
from .untangle import untangled

STEPS = 5
NEUTRAL_FADE_MM = 0.1  # the neutral's lids lie where the scan has them: only what is inside an eyeball moves


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A template on a head. Positions in the scan's world."""

    template: Template
    regions: Regions
    fitted: Fit
    vertices: np.ndarray  # [V, 3] world
    shapes: np.ndarray  # [m, V, 3] float32, displacements in world units at weight 1
    quality: Quality

    @property
    def pose(self) -> Similarity:
        return self.fitted.pose


def wrap(
    template: Template,
    scan: Scan,
    *,
    outside: bool = False,
    rigid: Sequence[str] = (),
    check: Check = unchecked,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Wrapped:
    """Lay a template with landmarks on a scan. Raises BridgeError of fit(), and "template-region".

    rigid: names of regions that keep their shape: those of Regions or of the template, each connected piece a body.
    """
    regions = find_regions(template)
    bodies = rigid_bodies(template, regions, rigid)
    step(1, STEPS)
    person = fit(template, regions, scan, outside=outside, check=check)
    step(2, STEPS)
    local = scan.moved(inverse(person.pose))
    on_scan = deform(template, regions, local, person.vertices, outside=outside, rigid=bodies, check=check)
    step(3, STEPS)
    placed, moves = place_parts(template, regions, person.vertices, on_scan)
    eyes = balls(template, placed)
    placed = _mended(template, regions, off_the_eyes(template, regions, placed, eyes, NEUTRAL_FADE_MM))
    shapes = _none(template)
    if len(template.expressions):
        shapes = transfer(template, regions, placed, moves, eyes, check=check)
        shapes = untangled(template, regions, placed, shapes, check=check)
    step(4, STEPS)
    quality = measure(template, regions, placed, local)
    step(5, STEPS)
    turned = np.ascontiguousarray(person.pose.scale * person.pose.rotation.T, np.float32)
    return Wrapped(template, regions, person, person.pose.points(placed), shapes @ turned, quality)


def borrowed(wrapped: Wrapped, donor: Wrapped) -> Wrapped:
    """A template without expressions takes those of another one that lies on the same head, by closest points whose
    normals agree: on the skin as far as it is seen, and of eyes, teeth and tongue by the same parts."""
    shapes = np.zeros((len(donor.shapes), len(wrapped.vertices), 3), np.float32)
    mine, theirs = wrapped.template, donor.template
    for parts in (("skin",), *((name,) for name in PARTS if name != "skin")):
        own, triangles = mine.of_part(*parts), theirs.triangles_of(*parts)
        if not own.any() or not len(triangles):
            continue
        hit = Target(donor.vertices, triangles).closest(
            wrapped.vertices[own],
            vertex_normals(wrapped.vertices, mine.triangles)[own],
            face_normals(donor.vertices, triangles),
            LEAST_COSINE if parts == ("skin",) else -1.0,
        )
        corners = triangles[hit.face]
        moved = np.einsum("nk,snkd->snd", hit.weights, donor.shapes[:, corners])
        shapes[:, own] = np.where(np.isfinite(hit.distance)[None, :, None], moved, 0)
    with_names = replace(mine, expression_names=theirs.expression_names)
    expression = np.zeros(len(theirs.expression_names))
    return replace(wrapped, template=with_names, shapes=shapes, fitted=replace(wrapped.fitted, expression=expression))


def _none(template: Template) -> np.ndarray:
    return np.empty((0, len(template.vertices), 3), np.float32)


def _mended(template: Template, regions: Regions, vertices: np.ndarray) -> np.ndarray:  # [V, 3]
    skin = np.flatnonzero(regions.skin)
    place = np.full(len(vertices), -1, np.int64)
    place[skin] = np.arange(len(skin))
    triangles = template.triangles_of("skin")
    result = vertices.copy()
    judged = regions.exposed[triangles].any(1)
    result[skin] = relaxed(vertices[skin], template.vertices[skin], place[triangles].astype(np.int32), judged)
    return result
