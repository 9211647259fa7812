"""A template on people of known topology, beside trimesh's nricp_amberg: same head, same start, same landmarks.

    python -m bench.wrap [--people N] [--template hm08|ict]

The truth is a random person of the template's own model in another pose and size, only what can be seen from outside;
landmarks are its own with 1.5 mm of noise. Errors are vertex to vertex over the face, in millimetres.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from bridge.capture.cameras import Similarity
from bridge.model import Template
from bridge.model.load import load_template
from bridge.wrap.fit import fit, inverse, pose_of
from bridge.wrap.regions import Regions, find_regions
from bridge.wrap.scan import Scan
from bridge.wrap.wrap import wrap

NOISE_MM = 1.5


def truth(template: Template, regions: Regions, seed: int) -> tuple[np.ndarray, Scan]:
    rng = np.random.default_rng(1000 + seed)
    shape = template.vertices + np.tensordot(rng.normal(0, 1, len(template.identity)), template.identity, 1)
    shown = regions.exposed | template.of_part("eye_left", "eye_right")
    triangles = template.triangles_of("skin", "eye_left", "eye_right")
    assert template.landmarks is not None
    marks = template.landmarks.points(shape) + rng.normal(0, NOISE_MM, (468, 3))
    world = Similarity(0.9, np.eye(3), np.array([30.0, -20, 10]))
    scan = Scan(
        world.points(shape),
        triangles[shown[triangles].all(1)],
        np.ones(len(shape)),
        world.points(marks),
        np.full(468, NOISE_MM),
    )
    return world.points(shape), scan


def nricp(template: Template, scan: Scan) -> np.ndarray:  # [V, 3] world
    import trimesh

    pose = pose_of(template, scan)
    local = scan.moved(inverse(pose))
    skin = np.flatnonzero(template.of_part("skin"))
    place = np.full(len(template.vertices), -1, np.int64)
    place[skin] = np.arange(len(skin))
    source = trimesh.Trimesh(template.vertices[skin], place[template.triangles_of("skin")], process=False)
    used = np.unique(local.faces)
    target = trimesh.Trimesh(local.vertices[used], np.searchsorted(used, local.faces), process=False)
    chosen = np.flatnonzero(np.isfinite(local.sigma))
    marks = template.landmarks
    assert marks is not None
    face, _ = source.nearest.on_surface(marks.points(template.vertices)[chosen])[2], None
    corners = source.vertices[source.faces[face]]
    weights = trimesh.triangles.points_to_barycentric(corners, marks.points(template.vertices)[chosen])
    found = trimesh.registration.nricp_amberg(
        source, target, source_landmarks=(face, weights), target_positions=local.landmarks[chosen]
    )
    result = template.vertices.copy()
    result[skin] = found
    return pose.points(result)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.wrap", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--template", default="hm08")
    options = parser.parse_args()
    template = load_template(options.template)
    regions = find_regions(template)
    print("| person | model fit | ours | s | nricp_amberg | s |\n|---|---|---|---|---|---|")
    for seed in range(options.people):
        true, scan = truth(template, regions, seed)

        def error(vertices: np.ndarray, true: np.ndarray = true) -> float:
            return float(np.linalg.norm(vertices - true, axis=1)[regions.face].mean()) / 0.9

        person = fit(template, regions, scan)
        start = time.perf_counter()
        ours = wrap(template, scan).vertices
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        theirs = nricp(template, scan)
        print(
            f"| {seed} | {error(person.pose.points(person.vertices)):.2f} | {error(ours):.2f} | {seconds:.1f} | "
            f"{error(theirs):.2f} | {time.perf_counter() - start:.1f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
