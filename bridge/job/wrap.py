"""Stage: a template laid on the finished head; and python -m bridge wrap, the same on a mesh of any origin."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..capture.cameras import Camera
from ..capture.images import resize_map
from ..capture.inputs import read_inputs
from ..check.findings import WARNING, Finding
from ..errors import BridgeError, Check, unchecked
from ..files import claim_folder
from ..head.landmarks import COUNT, Landmarker, find_faces
from ..head.triangulate import Landmarks, triangulate
from ..model import PARTS, Template
from ..model.denser import denser
from ..model.load import file_of, load_template
from ..model.obj import write_obj
from ..model.package import HM08, LANDMARKS, find, need
from ..raster import make_rasteriser
from ..report import results
from ..report.results import read_ply
from ..service.protocol import VERSION
from ..service.reporter import Reporter
from ..service.terminal import Terminal, clear_errors, stoppable
from ..wrap.fit import inverse
from ..wrap.scan import Scan
from ..wrap.sheet import sheet
from ..wrap.skin import looks_like_skin
from ..wrap.wrap import Wrapped, borrowed, wrap
from .record import Job, Tools

FOLDER = "wrap"  # in a run's output
SIZE, DEPTH_PIXELS, VIEWS = 512, 3.0, 2  # who sees a vertex: as report/surface_error does
STEPS = 10
PICKED_MM = 1.0  # how exactly a hand sets a landmark, in template millimetres


@dataclass(frozen=True)
class Head:
    """What is wrapped onto, in the capture's world."""

    vertices: np.ndarray  # [N, 3]
    faces: np.ndarray  # [M, 3]
    cameras: Sequence[Camera]
    pictures: Sequence[np.ndarray]  # [H, W, 3] float32 sRGB of each camera
    unit_mm: float | None


def wrap_head(job: Job, tools: Tools) -> None:
    """The head is there already: where no template can be laid on it, that is a warning."""
    photos = job.inputs.pixels
    head = Head(job.mesh.vertices, job.mesh.faces, job.inputs.cameras, photos, job.inputs.capture.unit_mm)
    try:
        known = None if job.prior is None else job.prior.landmarks
        wrap_to(job.output / FOLDER, Asked(job.settings.wrap), head, known, tools.report)
    except BridgeError as error:
        job.findings = [Finding(error.code, WARNING, (), error.sentence, error.cure)]


@dataclass(frozen=True)
class Asked:
    """Which template, and how it is laid."""

    template: str  # as load_template takes it
    density: int = 1  # 4: four times the template's faces
    rigid: tuple[str, ...] = ()  # names of regions that keep their shape
    outside: bool = False  # hats, helmets and hair are the head too


def wrap_to(folder: Path, asked: Asked, head: Head, known: Landmarks | None, report: Reporter) -> dict:
    """Find landmarks where none are known, wrap, write the files; returns the report. Raises BridgeError."""
    claim_folder(folder)
    template = with_landmarks(load_template(asked.template, report.check), asked.template, report.check)
    if asked.density == 4:
        template = denser(template)
    report.step(1, STEPS)
    landmarks = known or find_landmarks(head, report.check)
    if landmarks is None:
        raise BridgeError(
            "landmarks-none",
            "No two photographs show a face that the landmark model knows, so the template cannot be laid on the head.",
            "Give landmarks by hand (--landmarks FILE).",
        )
    report.step(2, STEPS)
    count, color = seen_by(head)
    confidence = sure(count, len(head.cameras))
    bare = looks_like_skin(head.vertices, color, count > 0, landmarks.points[landmarks.known])
    scan = Scan(head.vertices, head.faces, confidence, landmarks.points, landmarks.sigma, bare)
    report.step(3, STEPS)
    wrapped = wrap(
        template,
        scan,
        outside=asked.outside,
        rigid=asked.rigid,
        check=report.check,
        step=lambda done, total: report.step(3 + done, STEPS),
    )
    if not len(template.expressions) and find(HM08) is not None:
        donor = load_template("hm08", report.check)
        wrapped = borrowed(wrapped, wrap(donor, scan, outside=asked.outside, check=report.check))
    body = write(folder, wrapped, scan, landmarks, head.unit_mm)
    report.step(STEPS, STEPS)
    return body


def sure(count: np.ndarray, views: int) -> np.ndarray:  # [V] -> [V] 0..1
    """How much what so many of all views see pulls: two are enough, one where there is one only."""
    return np.clip(count / min(VIEWS, views), 0, 1)


def with_landmarks(template: Template, name: str, check: Check = unchecked) -> Template:
    """A template without landmarks takes them from those that a hand has set, or is rendered and looked at once; what
    was found is kept beside its file."""
    if template.landmarks is not None:
        return template
    from ..model.own import read_picked, write_landmarks
    from ..wrap.landmark_maps import measure
    from ..wrap.picked import from_picks

    file = file_of(name)
    if picks := read_picked(file, template):
        found = from_picks(template, picks)
    else:
        found = measure(template, Landmarker(need(LANDMARKS)), people=1, check=check)
    write_landmarks(file, found)
    return template.with_landmarks(found)


def find_landmarks(head: Head, check: Check = unchecked) -> Landmarks | None:
    """In all photographs, triangulated. Raises BridgeError where models are missing."""
    landmarker = Landmarker(need(LANDMARKS))
    return triangulate(head.cameras, find_faces(landmarker, head.pictures, check=check))


def read_picked(path: Path) -> Landmarks:
    """A JSON file {"landmarks": {"1": [x, y, z], ...}}: numbers of the face mesh, points in the capture's world.

    "sigma": {"1": 0.2, ...} beside it tells how far those may be off that no hand has set; the others are exact.
    """
    points, sigma = np.zeros((COUNT, 3)), np.full(COUNT, np.inf)
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        spread = body.get("sigma", {})
        for number, point in body["landmarks"].items():
            points[int(number)] = point
            sigma[int(number)] = float(spread.get(number, 0.0))
    except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise BridgeError(
            "landmarks-file",
            f"The landmarks '{path.name}' cannot be read: {error}.",
            'Give JSON such as {"landmarks": {"1": [x, y, z], "152": [x, y, z]}} with numbers 0 to 467.',
        ) from None
    return Landmarks(points, sigma, (), 0.0)


def seen_by(head: Head) -> tuple[np.ndarray, np.ndarray]:  # [N] int32, [N, 3] float32 sRGB 0..1
    """How many views see each vertex (it lies where the depth is that is rendered there), and its mean colour."""
    views = []
    for camera in head.cameras:
        scale = SIZE / max(camera.width, camera.height)
        views.append(camera.resize(round(camera.width * scale), round(camera.height * scale)))
    count = np.zeros(len(head.vertices), np.int32)
    color = np.zeros((len(head.vertices), 3), np.float32)
    depths = make_rasteriser("cpu", views).render(head.vertices, head.faces).depth
    for camera, depth, picture in zip(views, depths, head.pictures, strict=True):
        pixels, z = camera.project(head.vertices)
        x, y = np.floor(np.nan_to_num(pixels)).astype(int).T
        inside = (z > 0) & (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        there = depth[y, x]
        seen = inside & (there > 0) & (np.abs(z - there) < DEPTH_PIXELS * z / camera.K[0, 0])
        count += seen
        color[seen] += resize_map(picture, camera.width, camera.height)[y[seen], x[seen]]
    return count, color / np.maximum(count, 1)[:, None]


def write(folder: Path, wrapped: Wrapped, scan: Scan, landmarks: Landmarks, unit_mm: float | None) -> dict:
    """head.obj, wrap.npz (all of it, for the add-on), report.json and report.png."""
    template, pose = wrapped.template, wrapped.pose
    write_obj(folder / "head.obj", template, wrapped.vertices)
    distance = (wrapped.quality.distance * pose.scale).astype(np.float32)
    results.write_npz(
        folder / "wrap.npz",
        vertices=wrapped.vertices, faces=template.faces, uv=template.uv, faces_uv=template.faces_uv,
        part=template.part, part_names=np.array(PARTS), shapes=wrapped.shapes,
        shape_names=np.array(template.expression_names), distance=distance,
        landmarks=landmarks.points, landmarks_sigma=landmarks.sigma,
        **{f"region_{name}": getattr(wrapped.regions, name) for name in wrapped.regions.__dataclass_fields__},
    )  # fmt: skip
    back = inverse(pose)
    picture = sheet(template, back.points(wrapped.vertices), wrapped.quality.distance, scan.moved(back))
    Image.fromarray(picture).save(folder / "report.png")
    mm = None if unit_mm is None else pose.scale * unit_mm
    used = zip(template.expression_names, wrapped.fitted.expression, strict=True)
    body = {
        "skullptor": VERSION,
        "template": template.name,
        "template_licence": template.licence,
        "scale": round(pose.scale, 6),
        "size_against_template": None if mm is None else round(mm, 4),
        "landmarks": {
            "views": list(landmarks.views),
            "error_px": round(landmarks.error_px, 2) if landmarks.views else None,
            "known": int(landmarks.known.sum()),
        },
        "quality": wrapped.quality.scaled(mm if mm is not None else 1.0).as_json(),
        "expression": {name: round(float(value), 3) for name, value in used if value > 0.02},
        "shapes": list(template.expression_names),
        "vertices": len(template.vertices),
        "faces": len(template.faces),
    }
    results.write_json(folder / "report.json", body)
    return body


def main(argv: list[str]) -> int:
    """Lay a template with clean topology on a head: quads, UVs, eyes, teeth, 52 blend shapes; exit code 0 if done."""
    parser = argparse.ArgumentParser(prog="python -m bridge wrap", description=main.__doc__)
    parser.add_argument("head", type=Path, help="the dense head, as .ply, in the capture's world")
    parser.add_argument("--capture", type=Path, required=True, help="capture folder, or a capture*.json in it")
    parser.add_argument("--template", default="hm08", help="hm08, hm08-body, ict, gnm, or an OBJ, PLY or GLB file")
    parser.add_argument("--density", type=int, choices=(1, 4), default=1, help="4: each face of the template in four")
    parser.add_argument(
        "--rigid", metavar="NAMES", default="", help="regions that keep their shape, with commas: ears,lips, or its own"
    )
    parser.add_argument("--outside", action="store_true", help="hats, helmets and hair are the head too and pull it")
    parser.add_argument("--landmarks", type=Path, help="JSON with landmarks set by hand")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    options = parser.parse_args(argv)
    with clear_errors() as failed, Terminal() as terminal, stoppable() as control:
        report = Reporter("wrap", terminal.show, control, {"Reading photos": 0.2, "Wrapping the template": 0.8})
        report.begin("Reading photos")
        vertices, faces = read_ply(options.head)
        inputs = read_inputs(options.capture, report.step)
        report.end()
        report.begin("Wrapping the template")
        photos = inputs.pixels
        head = Head(vertices, faces, inputs.cameras, photos, inputs.capture.unit_mm)
        picked = read_picked(options.landmarks) if options.landmarks else None
        rigid = tuple(name for name in options.rigid.split(",") if name)
        asked = Asked(options.template, options.density, rigid, options.outside)
        body = wrap_to(options.output, asked, head, picked, report)
        report.end()
        print(
            f"Wrote {options.output}: {body['vertices']:,} vertices, {len(body['shapes'])} shapes, "
            f"{body['quality']['distance_median_mm']:.2f} mm from the head in the middle"
        )
    return failed.code
