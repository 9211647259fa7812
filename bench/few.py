"""Few photographs: how far heads from 1, 2, 3, 6 and 10 views are from the truth, the whole head and the face.

    python -m bench.few --data DATA --work DIR [--heads NAME ...] [--views 1 2 3 6 10] [--sheet few.jpg]

DATA holds captures/valid_wf2, captures/marble_bust and training_heads, of which those kept away from training are
photographed here with the cameras of valid_wf2. Numbers are the mean distance of the true surface to the result in
millimetres (H3DS's and SIRA++'s measure): `face` within 95 mm of the nose tip where it is seen from the front, `head`
all above the chin that is seen from outside. Both after a rigid alignment with size by the landmarks (where rays
through a frontal photograph's landmarks meet both surfaces), and as the result lies in the cameras' world.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from bridge.capture import record as captures
from bridge.capture.cameras import Camera, Similarity
from bridge.capture.images import read_photo
from bridge.head.canonical import similarity
from bridge.head.landmarks import Landmarker
from bridge.job.conditions import for_mesh
from bridge.job.photo import make_capture
from bridge.job.record import Stage
from bridge.job.runner import JobRunner
from bridge.job.stages import CARVE, LAY, STAGES
from bridge.mesh.closest import face_normals
from bridge.mesh.distance import distances, sample_surface
from bridge.model import head_model
from bridge.model.package import LANDMARKS, need
from bridge.prior.prior import MOST_VIEWS, Prior
from bridge.raster import make_rasteriser
from bridge.refine.adjust import perturbed
from bridge.report.results import read_ply
from bridge.service.protocol import Error, JobSettings, Run
from bridge.service.wire import Control
from bridge.training.models import HELD_OUT, load_avatar
from bridge.training.registered import MM, sampled

FRONT = "cam00"
# which of the ten views: the front, three-quarter views, profiles, the back, from above and below
CHOSEN = {
    1: ("cam00",),
    2: ("cam00", "cam03"),
    3: ("cam00", "cam03", "cam04"),
    4: ("cam00", "cam03", "cam04", "cam07"),
    5: ("cam00", "cam03", "cam04", "cam07", "cam08"),
    6: ("cam00", "cam03", "cam04", "cam07", "cam08", "cam11"),
    10: (),
}
SIDES = {
    "1 from 45 degrees": ("cam03",),
    "1 from the left": ("cam07",),  # 106 and 104 degrees from the front: a little behind a profile
    "1 from the right": ("cam08",),
}
SAMPLES = 60_000
FACE_MM, RADIUS_MM = 95.0, 150.0


@dataclass(frozen=True, eq=False)
class Truth:
    """A head's true surface in millimetres of the capture's world."""

    vertices: np.ndarray
    faces: np.ndarray
    unit_mm: float
    head: np.ndarray  # [n, 3] points, world
    face: np.ndarray  # [m, 3]


def photographed(folder: Path, name: str, rig: captures.Capture, target: Path) -> Path:
    """A capture of an avatar with another capture's cameras: softly lit, with masks and the true mesh."""
    if (target / "capture.json").is_file():
        return target
    avatar = load_avatar(folder / name)
    record = json.loads((folder / name / "head.json").read_text(encoding="utf-8"))
    stored = cv2.imread(str(folder / name / record["textures"][0]["file"]))
    assert stored is not None, name
    picture = stored[:, :, ::-1].astype(np.float32) / 255
    uv = np.zeros((len(avatar.vertices), 2), np.float32)
    uv[avatar.faces] = avatar.uv
    (target / "images").mkdir(parents=True, exist_ok=True)
    (target / "masks").mkdir(exist_ok=True)
    views = []
    for view in rig.views:
        camera = view.camera
        twice = camera.resize(2 * camera.width, 2 * camera.height)
        render = make_rasteriser("cpu", [twice]).render(avatar.vertices.astype(np.float64), avatar.faces, uv)
        inside = render.triangle[0] >= 0
        shade = 0.55 + 0.5 * np.clip(render.normals[0] @ np.array([0.35, 0.5, 0.79]), 0, 1)
        shade *= 0.85 + 0.15 * render.normals[0][..., 1]
        color = np.clip(sampled(picture**2.2, (render.attributes or [])[0]) * shade[..., None] ** (1 / 2.2), 0, 1)
        color[~inside] = 0.42
        size = (camera.width, camera.height)
        small = cv2.resize(color.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        matte = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(target / "images" / f"{camera.name}.jpg"), (small[:, :, ::-1] * 255 + 0.5).astype(np.uint8),
                    [cv2.IMWRITE_JPEG_QUALITY, 95])  # fmt: skip
        cv2.imwrite(str(target / "masks" / f"{camera.name}.png"), (matte * 255 + 0.5).astype(np.uint8))
        views.append({
            "name": camera.name, "image": f"images/{camera.name}.jpg", "mask": f"masks/{camera.name}.png",
            "width": camera.width, "height": camera.height, "K": camera.K.tolist(), "R": camera.R.tolist(),
            "t": camera.t.tolist(), "normals": None, "distortion": None,
        })  # fmt: skip
    np.savez(target / "truth.npz", vertices=avatar.vertices, faces=avatar.faces, nose=record["nose_tip"],
             chin=record["chin_y"])  # fmt: skip
    body = {"schema": 1, "name": name, "unit_mm": MM, "views": views}
    (target / "capture.json").write_text(json.dumps(body), encoding="utf-8")
    return target


def read_truth(capture: captures.Capture, folder: Path, head: Path) -> Truth:
    """The true mesh: beside our own captures, else what the capture names."""
    if (folder / "truth.npz").is_file():
        with np.load(folder / "truth.npz", allow_pickle=False) as stored:
            vertices, faces, nose, chin = (stored[key] for key in ("vertices", "faces", "nose", "chin"))
            vertices, chin = vertices.astype(np.float64), float(chin)
    else:
        record = json.loads((head / "head.json").read_text(encoding="utf-8"))
        vertices, faces = read_ply(folder / "gt_mesh.ply")
        nose, chin = np.array(record["nose_tip"]), record["chin_y"]
    assert capture.unit_mm is not None
    faces = np.ascontiguousarray(faces, np.int32)
    points, face = sample_surface(vertices, faces, SAMPLES)
    front, outside = seen_from(vertices, faces, points, face_normals(vertices, faces)[face])
    above = outside & (points[:, 1] > chin)
    near = above & front & (np.linalg.norm(points - nose, axis=1) * capture.unit_mm < FACE_MM)
    return Truth(vertices, faces, capture.unit_mm, points[above], points[near])


def seen_from(
    vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which points are seen from the front half, and which from anywhere but below (busts are open there), by at least
    two of 60 directions."""
    middle, radius = (vertices.min(0) + vertices.max(0)) / 2, np.linalg.norm(np.ptp(vertices, axis=0)) / 2
    front, anywhere = np.zeros(len(points), int), np.zeros(len(points), int)
    cameras = []
    for i in range(60):
        y = 1 - 1.4 * (i + 0.5) / 60
        angle = i * np.pi * (3 - 5**0.5)
        out = np.array([np.sqrt(1 - y * y) * np.sin(angle), y, np.sqrt(1 - y * y) * np.cos(angle)])
        x = np.cross([0, 1.0, 0], out)
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(-out, x), -out])
        K = np.array([[4.8 * 512, 0, 256], [0, 4.8 * 512, 256], [0, 0, 1.0]])
        cameras.append(Camera(str(i), K, R, -R @ (middle + 10 * radius * out), 512, 512))
    depths = make_rasteriser("cpu", cameras).render(vertices, np.ascontiguousarray(faces, np.int32)).depth
    for camera, depth in zip(cameras, depths, strict=True):
        pixels, z = camera.project(points)
        x, y = np.clip(np.floor(pixels).astype(int), 0, 511).T
        facing = normals @ -camera.R[2] > 0.1
        seen = facing & (depth[y, x] > 0) & (np.abs(z - depth[y, x]) < 2 * z / camera.K[0, 0])
        anywhere += seen
        if -camera.R[2] @ np.array([0, 0, 1.0]) > 0.6:
            front += seen
    return front >= 2, anywhere >= 2


@dataclass(frozen=True)
class Errors:
    """Millimetres."""

    face: float
    head: float
    face_there: float  # without alignment
    head_there: float


@dataclass(frozen=True, eq=False)
class Case:
    """A head to measure."""

    name: str
    path: Path
    capture: captures.Capture
    truth: Truth
    front: Camera
    marks: np.ndarray  # [468, 2] landmarks of the front view

    def seen_by(self, name: str) -> Case | None:
        """With another view's landmarks, None where it shows none: of a head whose distance one view has guessed, no
        other view's rays meet the same places."""
        view = next(view for view in self.capture.views if view.name == name)
        face = Landmarker(need(LANDMARKS)).find(read_photo(view).pixels)
        return None if face is None else replace(self, front=view.camera, marks=face.points[:, :2])


def marks_on(camera: Camera, pixels: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [n, 3]
    """Where rays through pixels meet a surface first; NaN where they miss it."""
    render = make_rasteriser("cpu", [camera]).render(vertices, np.ascontiguousarray(faces, np.int32))
    x, y = np.clip(np.floor(pixels).astype(int), 0, (camera.width - 1, camera.height - 1)).T
    depth = render.depth[0][y, x].astype(np.float64)
    local = np.linalg.solve(camera.K, np.c_[pixels, np.ones(len(pixels))].T).T * depth[:, None]
    points = (local - camera.t) @ camera.R
    points[depth <= 0] = np.nan
    return points


def aligned(case: Case, vertices: np.ndarray, faces: np.ndarray, made: Camera | None = None) -> Similarity:
    """The similarity result -> truth by the landmarks of the front view."""
    theirs = marks_on(case.front, case.marks, case.truth.vertices, case.truth.faces)
    ours = marks_on(made or case.front, case.marks, vertices, faces)
    return brought(ours, theirs)


def brought(ours: np.ndarray, theirs: np.ndarray) -> Similarity:
    """The similarity between landmarks [468, 3], those unknown NaN; the closest count most."""
    known = np.isfinite(theirs).all(1) & np.isfinite(ours).all(1)
    a, b = ours[known], theirs[known]
    weights = np.ones(len(a))
    found = similarity(a, b, weights)
    for _ in range(10):
        found = similarity(a, b, weights)
        assert found is not None
        gap = np.linalg.norm(found.apply(a) - b, axis=1)
        weights = 1 / (1 + (gap / max(np.median(gap), 1e-9) / 2) ** 2)
    assert found is not None
    return Similarity(found.scale, found.rotation, found.offset)


def errors(
    case: Case, vertices: np.ndarray, faces: np.ndarray, made: Camera | None = None, by: Similarity | None = None
) -> Errors:
    """How far the truth is from a result, aligned and not. made: the front view's camera in the result's world, where
    that is another one; by: result -> truth, where rays through a photograph's landmarks do not tell."""
    truth = case.truth
    faces = np.ascontiguousarray(faces, np.int32)
    moved = (by or aligned(case, vertices, faces, made)).points(vertices)
    values = []
    for shape in (moved, vertices):
        for points in (truth.face, truth.head):
            values.append(float(distances(points, shape, faces).mean()) * truth.unit_mm)
    return Errors(*values)


@dataclass(frozen=True)
class Try:
    """What is asked of a head."""

    views: tuple[str, ...]  # none: all
    preset: str = "draft"
    plain: bool = False  # without the model, as heads were made until now
    noise: float = 0.0  # of the cameras, in radians and in radii of the head
    made: bool = False  # cameras are made of the photographs, as Photo to Head does

    def name(self, case: Case) -> str:
        """Of its files."""
        words = [case.name, str(len(self.views) or "all"), self.views[0] if self.views else FRONT, self.preset]
        words += ["plain"] * self.plain + [f"noise{self.noise:g}"] * (self.noise > 0) + ["made"] * self.made
        return "-".join(words)


def subset(case: Case, asked: Try) -> Path:
    """The capture file of some views in the case's folder, or that of the cameras made for them."""
    body = json.loads((case.path / "capture.json").read_text(encoding="utf-8"))
    chosen = [view for view in body["views"] if not asked.views or view["name"] in asked.views]
    if asked.made:
        folder = case.path / asked.name(case)
        make_capture([case.path / view["image"] for view in chosen], folder)
        return folder / "capture.json"
    rng = np.random.default_rng(1)
    for view in chosen:
        if asked.noise:
            camera = Camera("", np.array(view["K"]), np.array(view["R"]), np.array(view["t"]), 1, 1)
            radius = RADIUS_MM / case.truth.unit_mm
            turn, shift = asked.noise * rng.normal(size=3), asked.noise * radius * rng.normal(size=3)
            moved = perturbed(camera, turn, shift)
            view |= {"R": moved.R.tolist(), "t": moved.t.tolist()}
    place = case.path / f"capture-{asked.name(case)}.json"
    place.write_text(json.dumps(body | {"views": chosen}), encoding="utf-8")
    return place


def cases(data: Path, work: Path, names: list[str]) -> list[Case]:
    """The heads, photographed where they were not yet."""
    landmarker = Landmarker(need(LANDMARKS))
    rig = captures.load(data / "captures" / "valid_wf2")
    found = []
    for name in names:
        own, path = data / "captures" / name, work / "captures" / name
        if not own.is_dir():
            photographed(data / "training_heads", name, rig, path)
        elif not path.is_dir():
            shutil.copytree(own, path)
        capture = captures.load(path)
        front = next(view for view in capture.views if view.name == FRONT)
        face = landmarker.find(read_photo(front).pixels)
        assert face is not None
        truth = read_truth(capture, path, data / "heads" / name)
        found.append(Case(name, path, capture, truth, front.camera, face.points[:, :2]))
    return found


HEADS = ("valid_wf2", "marble_bust", *HELD_OUT)


def measured(case: Case, asked: Try, work: Path) -> dict:
    """One head: errors of the mean head, of the model's fit and of the carved head, and CPU seconds."""
    place, output = (work / kind / asked.name(case) for kind in ("results", "runs"))
    place = place.with_name(f"{place.name}.json")
    if place.is_file():
        return json.loads(place.read_text(encoding="utf-8"))
    path = subset(case, asked)
    known: list[Prior | None] = []
    watch = Stage("Keeping what is known", 0.0, for_mesh, lambda job, tools: known.append(job.prior))
    stages = [stage for stage in STAGES if not (asked.plain and stage is LAY)]
    stages.insert(stages.index(CARVE), watch)
    run = Run("few", str(path), str(output), JobSettings(preset=asked.preset))
    said: list = []
    began = time.process_time()
    JobRunner(stages=stages).run(run, said.append, Control())
    row: dict = {"seconds": time.process_time() - began}
    if failed := [message for message in said if isinstance(message, Error)]:
        return {"failed": failed[0].sentence} | row
    moved = output / "refined" / "capture.json"  # where the run has moved its cameras
    made = captures.load(moved if moved.is_file() else path).views[0].camera if asked.made or asked.noise else None
    vertices, faces = read_ply(output / "head.ply")
    by = None
    if asked.views and FRONT not in asked.views:
        if (own := case.seen_by(asked.views[0])) is not None:
            case = own
        elif known and known[0] is not None:  # from the side: the fitted head's landmarks
            theirs = marks_on(case.front, case.marks, case.truth.vertices, case.truth.faces)
            by = brought(known[0].landmarks.points, theirs)
    row["head"] = asdict(errors(case, vertices, faces, made, by))
    if known and known[0] is not None:
        fitted, template = known[0].fitted, head_model.load().template
        triangles = template.triangles_of("skin", "eye_left", "eye_right")
        for name, shape in (("mean", template.vertices), ("fit", fitted.vertices)):
            row[name] = asdict(errors(case, fitted.pose.points(shape), triangles, made, by))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(row), encoding="utf-8")
    return row


def cell(row: dict, key: str) -> str:
    """Face / head, aligned, as the table shows them."""
    return "{face:.2f} / {head:.2f}".format(**row[key]) if key in row else ""


def sheet(shown: list[tuple[str, list[tuple[np.ndarray, np.ndarray]]]]) -> np.ndarray:  # [H, W, 3] uint8
    """Rows of heads (mm, already aligned), each from the front, from the side and from behind."""
    rows = []
    for title, heads in shown:
        pictures = [portrait(vertices, faces, yaw) for vertices, faces in heads for yaw in (0.0, 1.4, 2.7)]
        row = np.concatenate(pictures, 1)
        cv2.putText(row, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        rows.append(row)
    return np.repeat(np.concatenate(rows)[..., None], 3, 2)


def portrait(vertices: np.ndarray, faces: np.ndarray, yaw: float, size: int = 220) -> np.ndarray:  # [s, s] uint8
    """A head in plain clay, in the frame of the model (mm)."""
    out = np.array([np.sin(yaw), 0.06, np.cos(yaw)])
    out /= np.linalg.norm(out)
    x = np.cross([0, 1.0, 0], out)
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(-out, x), -out])
    K = np.array([[3.4 * size, 0, size / 2], [0, 3.4 * size, size / 2], [0, 0, 1.0]])
    camera = Camera("", K, R, -R @ (1050 * out), size, size)
    render = make_rasteriser("cpu", [camera]).render(vertices, np.ascontiguousarray(faces, np.int32))
    light = camera.normals_from_world(render.normals[0]) @ np.array([-0.3, 0.5, 0.81])
    picture = (40 + 200 * np.clip(light, 0, 1)).astype(np.uint8)
    picture[render.triangle[0] < 0] = 90
    return picture


def main() -> int:
    """Measure, print the table, draw the sheet."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.few", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="captures, runs and results are kept here")
    parser.add_argument("--heads", nargs="+", default=list(HEADS))
    parser.add_argument("--views", nargs="+", type=int, default=[1, 2, 3, 6, 10], choices=sorted(CHOSEN))
    parser.add_argument("--preset", default="draft")
    parser.add_argument("--sides", action="store_true", help="also one view from 45 degrees and from either side")
    parser.add_argument("--noise", type=float, default=0.0, help="also three views with cameras so many radians off")
    parser.add_argument("--made", action="store_true", help="also one to three views whose cameras are made of them")
    parser.add_argument("--before", action="store_true", help="also three views and more without the model")
    parser.add_argument("--sheet", type=Path, help="a picture of every head's results beside the truth")
    options = parser.parse_args()
    print("| head | views | mean head | model's fit | without the model | carved | CPU s |\n" + "|---" * 7 + "|")
    shown = []
    for case in cases(options.data, options.work, options.heads):
        asked = {str(count): Try(CHOSEN[count], options.preset) for count in options.views}
        asked |= {name: Try(views, options.preset) for name, views in SIDES.items() if options.sides}
        if options.noise:
            asked[f"3, cameras {options.noise:g} off"] = Try(CHOSEN[3], options.preset, noise=options.noise)
        if options.made:
            asked |= {f"{n}, cameras made": Try(CHOSEN[n], options.preset, made=True) for n in (1, 2, 3)}
        heads = []
        for name, one in asked.items():
            row = measured(case, one, options.work)
            plain = options.before and 3 <= len(one.views) <= MOST_VIEWS
            before = measured(case, replace(one, plain=True), options.work) if plain else {}
            cells = [cell(row, "mean"), cell(row, "fit"), cell(before, "head"), cell(row, "head")]
            print(f"| {case.name} | {name} | " + " | ".join(cells) + f" | {row['seconds']:.0f} |", flush=True)
            if options.sheet and name.isdigit():
                heads.append(read_ply(options.work / "runs" / one.name(case) / "head.ply"))
        heads = [(aligned(case, *head).points(head[0]), head[1]) for head in heads]
        heads.append((case.truth.vertices, case.truth.faces))
        unit = case.truth.unit_mm
        shown.append((f"{case.name}: {', '.join(asked)} views, the truth", [(v * unit, f) for v, f in heads]))
    if options.sheet:
        cv2.imwrite(str(options.sheet), sheet(shown), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
