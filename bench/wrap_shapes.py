"""The 52 shapes of a wrapped head: against the template's own, lids, lips, and any two of them at once.

    python -m bench.wrap_shapes [--template hm08|ict] [--person 0] [--pairs 1326]

The head is bench.wrap's: a random person of the template's own model. ICT's shapes are the same displacements on every
face, so that there the difference says what transfer makes of them. Pairs: two shapes at 0.5 each; faces that then
cross and did not before, outside the mouth's inside and the sockets; beside it the same of the template itself as it
came. mouthClose is worn with as much of jawOpen, since it closes the lips of an open jaw.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy.spatial import cKDTree

from bridge.mesh.intersections import intersecting_faces
from bridge.model import Template, arkit
from bridge.model.load import load_template
from bridge.model.measured import corrections
from bridge.wrap.parts import balls
from bridge.wrap.regions import Regions, find_regions
from bridge.wrap.untangle import mixtures
from bridge.wrap.wrap import Wrapped, wrap

from .wrap import truth

STILL_MM = 0.1  # what moves less says nothing of a shape
SHOWN = 8


def crossing(template: Template, regions: Regions, vertices: np.ndarray) -> int:
    """Exposed faces that another face passes through."""
    triangles = template.triangles_of("skin")
    seen = regions.exposed[triangles].all(1)
    return int(intersecting_faces(vertices, triangles)[seen].sum())


def pairs(
    template: Template, regions: Regions, vertices: np.ndarray, shapes: np.ndarray, count: int
) -> tuple[int, int]:
    """Of so many pairs at 0.5 each, how many make faces cross, and how many faces the worst makes."""
    before = crossing(template, regions, vertices)
    every = [mix for mix in mixtures(template.expression_names) if mix.pair]
    chosen = (
        every if count >= len(every) else [every[i] for i in np.random.default_rng(0).choice(len(every), count, False)]
    )
    found = {
        mix: max(0, crossing(template, regions, vertices + mix.weight * shapes[list(mix.shapes)].sum(0)) - before)
        for mix in chosen
    }
    for mix in sorted(found, key=lambda mix: -found[mix])[:SHOWN]:
        if found[mix]:
            print(found[mix], *(template.expression_names[i] for i in mix.shapes), file=sys.stderr)
    return sum(number > 0 for number in found.values()), max(found.values())


def lids(done: Wrapped, local: np.ndarray, shapes: np.ndarray) -> tuple[float, float]:
    """Largest gap in the middle of closed lids, and how far a lid lies inside an eyeball at most, millimetres."""
    template, gaps, inside = done.template, [], []
    for side, ball in zip(("Left", "Right"), balls(template, local), strict=True):
        shape = template.expression_names.index(f"eyeBlink{side}")
        own = np.linalg.norm(template.expressions[shape], axis=1)
        blink = local + shapes[shape]
        sign = 1 if side == "Left" else -1
        lid = done.regions.lids & (sign * template.vertices[:, 0] > 0)
        front = lid & (blink[:, 2] > ball.center[2])
        inside.append(float(np.maximum(ball.radius - np.linalg.norm(blink[front] - ball.center, axis=1), 0).max()))
        upper, lower = np.flatnonzero(lid & (own > 2)), np.flatnonzero(lid & (own <= 2))
        gaps.append(float(np.sort(cKDTree(blink[lower]).query(blink[upper])[0])[:12].max()))
    return max(gaps), max(inside)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.wrap_shapes", description=__doc__.splitlines()[0])
    parser.add_argument("--template", default="hm08")
    parser.add_argument("--person", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=52 * 51 // 2)
    options = parser.parse_args()
    template = load_template(options.template)
    regions = find_regions(template)
    done = wrap(template, truth(template, regions, options.person)[1])
    pose = done.pose
    local = (done.vertices - pose.offset) @ pose.rotation / pose.scale
    shapes = done.shapes.astype(np.float64) @ pose.rotation / pose.scale
    change = corrections(template)
    own = template.expressions.astype(np.float64) - (0 if change is None else change)
    skin = regions.skin
    moves = skin & (np.linalg.norm(own, axis=2) > STILL_MM)
    off = np.linalg.norm(shapes - own, axis=2)
    means = np.array([off[i][moves[i]].mean() for i in range(len(own)) if moves[i].any()])  # gazes move eyes alone
    gap, inside = lids(done, local, shapes)
    worn, worst = pairs(template, regions, local, shapes, options.pairs)
    bare, bare_worst = pairs(template, regions, template.vertices, own, options.pairs)
    lower = template.of_part("teeth_lower")
    jaw = np.linalg.norm(shapes[arkit.NAMES.index("jawOpen")], axis=1)
    rows = {
        "shapes, by ARKit's names": f"{len(shapes)}, {template.expression_names == arkit.NAMES}",
        "least of the shapes' largest motions, mm": f"{np.linalg.norm(shapes, axis=2).max(1).min():.2f}",
        "off the template's own where they move, mean / worst, mm": f"{means.mean():.2f} / {means.max():.2f}",
        "gap of closed lids, mm": f"{gap:.2f}",
        "lid inside the eyeball, mm": f"{inside:.3f}",
        "jawOpen of the lower teeth, mm": f"{jaw[lower].mean():.1f}",
        "pairs at 0.5 with crossing faces; most faces": f"{worn}; {worst}",
        "the same of the template itself": f"{bare}; {bare_worst}",
    }
    print(f"| {options.template}, person {options.person} | |\n| --- | --- |")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
