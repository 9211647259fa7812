"""A template on heads that were reconstructed from photographs of people whose topology is known.

    python -m bench.wrap_people WORK [--template hm08|ict] [--people 12] [--first 0] [--clothes] [--nricp]

Ten photographs of 1,024 pixels are rendered by bench.performance, lit, textured, with noise. hm08's people are drawn
from MakeHuman's targets (all ages, sexes and ancestries), ict's from its identities; every second one wears an
expression of four shapes, one of three hair (the skin of the skull pushed out by up to 25 mm, and dark); with
--clothes all wear a collar that stands up to 20 mm off the neck, of another colour. Errors are vertex to vertex over
the face, in millimetres, without any alignment: the cameras are those of the truth. WORK keeps
everything, and what is there is not run again. Conformal ratios (99 %): of the wrapped head against the template,
against the fitted person, and of the truth itself against the template. --nricp: trimesh's nricp_amberg beside it (the
package rtree is needed), with the same head, start and landmarks.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from sys import executable

import numpy as np
from scipy.spatial import cKDTree

from bridge.capture import images
from bridge.capture.inputs import read_inputs
from bridge.capture.record import Capture, View, save
from bridge.head.landmarks import EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER
from bridge.job.wrap import Head, find_landmarks, seen_by, sure
from bridge.mesh.distance import distances
from bridge.mesh.normals import vertex_normals
from bridge.model import Template, hm08
from bridge.model.load import load_template
from bridge.report.results import read_ply
from bridge.wrap.quality import stretch_ratio
from bridge.wrap.regions import Regions, find_regions
from bridge.wrap.scan import Scan
from bridge.wrap.skin import looks_like_skin
from bridge.wrap.wrap import wrap

from .performance import Studio, rig
from .process import spend
from .wrap import nricp

SEED = 50_000  # far from the people that the model was made of
SIZE, VIEWS = 1024, 10
SHAPES, WEIGHTS = 4, (0.3, 0.8)  # of an expression
NEAR_MM = 3.0  # points of the head that belong to the face
FRONTAL = 4  # photographs in which lips and lids are compared
CLOTH_MM, BARE_MM, CLOTH = 20.0, 10.0, np.array([0.1, 0.18, 0.4])  # how far out, from where below the face, its colour
HAIR_MM, EDGE_MM, DARK = 25.0, 30.0, 0.12  # how far out, from how far beside the face on, and its colour


@dataclass(frozen=True, eq=False)
class Person:
    """vertices [V, 3]: the truth; shown [V, 3]: what is photographed; hair, cloth [V] 0..1."""

    vertices: np.ndarray
    shown: np.ndarray
    hair: np.ndarray
    cloth: np.ndarray


def person(template: Template, regions: Regions, number: int, clothes: bool) -> Person:
    rng = np.random.default_rng(SEED + number)
    if template.name == "hm08":
        vertices = hm08.people(1, rng)[0]
    else:
        vertices = template.vertices + np.tensordot(rng.normal(0, 1, len(template.identity)), template.identity, 1)
    if number % 2:
        chosen = rng.choice(len(template.expressions), SHAPES, replace=False)
        weights = rng.uniform(*WEIGHTS, SHAPES)
        vertices = vertices + np.tensordot(weights, template.expressions[chosen].astype(np.float64), 1)
    hair = np.zeros(len(vertices))
    if number % 3 == 2:
        bare = regions.face | regions.neck | regions.ears
        skull = regions.skin & regions.exposed & ~bare
        away = cKDTree(vertices[bare]).query(vertices)[0]
        hair = np.where(skull, np.clip(away / EDGE_MM, 0, 1), 0)
    out = vertex_normals(vertices, template.triangles_of("skin"))
    cloth = np.zeros(len(vertices))
    if clothes:
        away = cKDTree(vertices[regions.face]).query(vertices)[0]
        cloth = np.where(regions.neck, np.clip((away - BARE_MM) / EDGE_MM, 0, 1), 0)
    thick = HAIR_MM * hair**2 + CLOTH_MM * cloth
    return Person(vertices, vertices + thick[:, None] * out, hair, cloth)


def photograph(template: Template, someone: Person, folder: Path, seed: int) -> None:
    head = someone.vertices[template.of_part("skin")]
    centre = np.array([head[:, 0].mean(), head[:, 1].max() - 130, head[:, 2].max() - 90])
    studio = Studio(template, someone.vertices, rig(VIEWS, centre, SIZE), seed)
    for worn, color in ((someone.hair, DARK), (someone.cloth, CLOTH)):
        mix = np.clip(2 * worn, 0, 1)[:, None]
        studio.color = ((1 - mix) * studio.color + mix * color).astype(studio.color.dtype)
    views = []
    for camera, picture in zip(studio.cameras, studio.photograph(someone.shown), strict=True):
        place = folder / "images" / f"{camera.name}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        images.write(place, picture[..., ::-1])
        views.append(View(camera, place))
    save(Capture(folder.name, tuple(views), 1.0), folder)


def to_polyline(points: np.ndarray, line: np.ndarray) -> np.ndarray:  # [n]
    """Distances of points [n, 2] from the closed polyline of points [m, 2]."""
    begin, way = line, np.roll(line, -1, axis=0) - line
    along = np.einsum("nmd,md->nm", points[:, None] - begin, way) / np.maximum((way**2).sum(1), 1e-9)
    feet = begin + np.clip(along, 0, 1)[..., None] * way
    return np.linalg.norm(points[:, None] - feet, axis=2).min(1)


def beside(template: Template, regions: Regions, someone: Person, scan: Scan) -> dict:
    """What nricp_amberg makes of the same head."""
    began = time.process_time()
    off = np.linalg.norm(nricp(template, scan) - someone.vertices, axis=1)[regions.face]
    return {
        "nricp_mm": float(off.mean()),
        "nricp_p95_mm": float(np.quantile(off, 0.95)),
        "nricp_cpu_s": time.process_time() - began,
    }


def measured(
    template: Template, regions: Regions, someone: Person, folder: Path, preset: str
) -> tuple[dict, Scan | None]:
    head = folder / f"{preset}.ply"
    if not head.exists():
        command = [executable, "-m", "bridge", "reconstruct", str(folder / "capture"), "-o", str(head)]
        spend([*command, "--preset", preset, "--no-cache"], folder / f"{preset}.log")
    vertices, faces = read_ply(head)[:2]
    inputs = read_inputs(folder / "capture")
    dense = Head(vertices, faces, inputs.cameras, inputs.pixels, 1.0)
    landmarks = find_landmarks(dense)
    if landmarks is None:
        return {"failed": "no landmarks"}, None
    count, color = seen_by(dense)
    bare = looks_like_skin(vertices, color, count > 0, landmarks.points[landmarks.known])
    scan = Scan(vertices, faces, sure(count, VIEWS), landmarks.points, landmarks.sigma, bare)
    began = time.process_time()
    found = wrap(template, scan)
    seconds = time.process_time() - began
    true, face, marks = someone.vertices, regions.face, template.landmarks
    assert marks is not None
    plain = found.fitted.pose.points(found.fitted.vertices)
    on_face = face[marks.corners].all(1)
    moved = marks.points(found.vertices) - marks.points(true)

    cameras = sorted(inputs.cameras, key=lambda camera: abs(camera.R[2, 0]))[:FRONTAL]
    contours = [
        to_polyline(camera.project(marks.points(found.vertices)[list(line)])[0],
                    camera.project(marks.points(true)[list(line)])[0])
        for camera in cameras for line in (LIPS_OUTER, LIPS_INNER, EYE_LEFT, EYE_RIGHT)
    ]  # fmt: skip

    triangles = template.triangles_of("skin")
    triangles = triangles[regions.exposed[triangles].all(1)]

    def conformal(before: np.ndarray, after: np.ndarray) -> float:
        return float(np.quantile(stretch_ratio(before, after, triangles), 0.99))

    def error(where: np.ndarray) -> float:
        return float(np.linalg.norm(where - true, axis=1)[face].mean())

    # the head's points over the face that two views see and no hair covers, to the template
    near = cKDTree(true[face & ~someone.hair.astype(bool)]).query(vertices)[0] < NEAR_MM
    shown = near & (scan.confidence > 0.9) & (bare > 0.5)
    back = distances(vertices[shown], found.vertices, template.triangles_of("skin", "eye_left", "eye_right"))
    row = {
        "surface_mm": float(np.median(distances(true[face], vertices, faces))),
        "found_landmarks_mm": float(
            np.linalg.norm(landmarks.points - marks.points(true), axis=1)[landmarks.known & on_face].mean()
        ),
        "model_mm": error(plain),
        "ours_mm": error(found.vertices),
        "ours_p95_mm": float(np.quantile(np.linalg.norm(found.vertices - true, axis=1)[face], 0.95)),
        "landmarks_mm": float(np.linalg.norm(moved, axis=1)[on_face].mean()),
        "contours_px": float(np.concatenate(contours).mean()),
        "contours_p95_px": float(np.quantile(np.concatenate(contours), 0.95)),
        "flipped": int(found.quality.flipped),
        "crossing": int(found.quality.crossing),
        "conformal": conformal(template.vertices, found.vertices),
        "conformal_to_fit": conformal(found.fitted.vertices, found.vertices),
        "conformal_of_truth": conformal(template.vertices, true),
        "seen_mm": float(np.median(back)),
        "seen_p95_mm": float(np.quantile(back, 0.95)),
        "distance_mm": found.quality.distance_median,
        "distance_p95_mm": found.quality.distance_p95,
        "wrap_cpu_s": seconds,
    }
    return row, scan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--template", default="hm08")
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="number of the first person: 12 on were held back")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--clothes", action="store_true")
    parser.add_argument("--nricp", action="store_true")
    options = parser.parse_args()
    template = load_template(options.template)
    regions = find_regions(template)
    rows: list[dict] = []
    for number in range(options.first, options.first + options.people):
        folder = options.work / f"{options.template}-{number:02d}{'-clothes' * options.clothes}"
        someone = person(template, regions, number, options.clothes)
        if not (folder / "capture" / "capture.json").exists():
            photograph(template, someone, folder / "capture", number)
        row, scan = measured(template, regions, someone, folder, options.preset)
        if options.nricp and scan is not None:
            row |= beside(template, regions, someone, scan)
        worn = ("expression " if number % 2 else "") + ("hair" if someone.hair.any() else "")
        (folder / f"{options.preset}.json").write_text(json.dumps(row, indent=1), encoding="utf-8")
        if not rows:
            print("| person |", " | ".join(row), "|\n|", "--- |" * (len(row) + 1))
        rows.append(row)
        cells = [f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()]
        print(f"| {number} {worn} |", " | ".join(cells), "|", flush=True)
    known = [row for row in rows if "failed" not in row]
    cells = [f"{np.mean([row[key] for row in known]):.2f}" for key in known[0]]
    print("| mean |", " | ".join(cells), "|")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
