"""python -m bench.relief --data DIR -o FOLDER [--heads ...] [--sizes 1024 2048 4096]: heads with pores and strands.

The test heads with relief of 0.1 to 1 mm as displacement: pores and wrinkles in the face, strands where hair is. The
mesh is split until its edges carry it, photographed by the cameras of the head's own capture and written as captures
FOLDER/NAME/capture-SIZE.json with the same ground truth: twelve novel views of 2,048 pixels. What the photographs hold
grows with their size, the surface does not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree

from bridge.capture import record
from bridge.capture.cameras import Camera
from bridge.capture.images import remap, write, write_normals
from bridge.capture.record import Capture, Evaluation, EvaluationView, View
from bridge.mesh.distance import sample_surface
from bridge.mesh.normals import vertex_normals
from bridge.raster import make_rasteriser
from bridge.texture.light import to_linear, to_srgb

from .texture import Textured

SIZES = (1024, 2048, 4096)
EVALUATED = 2048  # pixels of a novel view
EDGE_MM = 0.4  # of the split mesh: a third of the finest wave
SHARP = 4096  # pixels of a photograph in which every wave of the relief has ten
STRIP = 2048  # rows that are rendered at once
GREY = 0.35  # of the background, linear
NOISE = 0.004  # of a pixel, sRGB
JPEG_QUALITY = 95
PORE_MM, PORE_DEEP, PORE_APART = 0.35, 0.12, 1.6  # sigma of a pore, its depth, one in a square of this side
WRINKLE_MM, WRINKLE_DEEP, WRINKLE_APART = 0.5, 0.4, 7.0
STRANDS = ((5.0, 0.35), (1.9, 0.30), (1.1, 0.12))  # wave length and amplitude, mm
KEY, FILL = np.array([-0.45, 0.55, 0.70]), np.array([0.85, 0.05, 0.35])  # towards the lamps, fixed to the head


@dataclass(frozen=True, eq=False)
class Relief:
    """A head in its capture's world with its linear colours: vertices [V, 3], faces [F, 3], colours [V, 3]."""

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    face: np.ndarray  # [V] float32 1 within the face's radius of the nose's tip
    gloss: float


def carved(data: Path, name: str) -> Relief:
    """A test head, split and displaced."""
    about = json.loads((data / "heads" / name / "head.json").read_text(encoding="utf-8"))
    truth = Textured.of(data, name)
    mesh, unit = truth.mesh, float(about["mm_per_unit"])
    colors = _vertex_colors(truth)
    vertices, faces = mesh.vertices.astype(np.float64), mesh.faces
    while _edge(vertices, faces) * unit > EDGE_MM:
        vertices, colors, faces = _split(vertices, colors, faces)
    nose = np.array(about["nose_tip"])
    millimetres = vertices * unit
    from_nose = np.linalg.norm(millimetres - nose * unit, axis=1)
    normals = vertex_normals(vertices, faces)
    height = _relief(millimetres, faces, from_nose)
    vertices = vertices + normals * (height / unit)[:, None]
    # what lies deep gets less light: the renderer casts no shadows
    colors = colors * (1 + 0.25 * np.clip(height / 0.4, -1, 0.4))[:, None]
    inside = (from_nose < about["face_radius_mm"]).astype(np.float32)
    return Relief(vertices, faces, colors.astype(np.float32), inside, float(about["specular"]))


def _vertex_colors(truth: Textured) -> np.ndarray:  # [V, 3] linear
    mesh, size = truth.mesh, truth.texture.shape[:2]
    corner = np.zeros(len(mesh.vertices), np.int64)
    corner[mesh.faces.ravel()] = mesh.faces_uv.ravel()  # one of its corners: at a seam both show the same
    uv = mesh.uv[corner]
    x, y = uv[:, 0] * size[1] - 0.5, (1 - uv[:, 1]) * size[0] - 0.5
    picked = remap(truth.texture, x.astype(np.float32)[None], y.astype(np.float32)[None])
    return to_linear(picked.reshape(-1, 3))


def _edge(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(vertices[faces[:, 1]] - vertices[faces[:, 0]], axis=1)))


def _split(vertices: np.ndarray, colors: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every face into four; middles of edges lie on the curve of a PN triangle (Vlachos and others 2001)."""
    normals = vertex_normals(vertices, faces).astype(np.float64)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1)
    keys, index = np.unique(edges[:, 0] * len(vertices) + edges[:, 1], return_inverse=True)
    p, q = keys // len(vertices), keys % len(vertices)
    along = vertices[q] - vertices[p]
    bent = (along * normals[p]).sum(1)[:, None] * normals[p] - (along * normals[q]).sum(1)[:, None] * normals[q]
    middle = (vertices[p] + vertices[q]) / 2 - bent / 8
    ab, bc, ca = (index.reshape(3, -1) + len(vertices)).astype(np.int32)
    a, b, c = faces.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return (
        np.concatenate([vertices, middle]),
        np.concatenate([colors, (colors[p] + colors[q]) / 2]),
        np.concatenate([np.stack(k, 1) for k in parts]).astype(np.int32),
    )


def _relief(at: np.ndarray, faces: np.ndarray, from_nose: np.ndarray) -> np.ndarray:  # [V] mm
    """Heights above the smooth surface, of points [V, 3] in millimetres (y up, z out of the face)."""
    rng = np.random.default_rng(15)
    hair = _rise(from_nose, 70, 90) * _rise(at[:, 1], -60, -20)  # above and behind the face
    skin = 1 - hair
    near = np.flatnonzero((from_nose < 130) & (skin > 0))
    area = (
        0.5
        * np.linalg.norm(np.cross(at[faces[:, 1]] - at[faces[:, 0]], at[faces[:, 2]] - at[faces[:, 0]]), axis=1).sum()
    )
    pores, _ = sample_surface(at, faces, int(area / PORE_APART**2), seed=15)
    gap, _ = cKDTree(pores).query(at[near], distance_upper_bound=4 * PORE_MM, workers=2)
    height = np.zeros(len(at))
    height[near] -= skin[near] * PORE_DEEP * np.exp(-(gap**2) / (2 * PORE_MM**2))
    for turn in (0.0, 0.6, -0.6):  # level on the forehead, oblique on the cheeks
        across = at[:, 1] * np.cos(turn) + at[:, 0] * np.sin(turn) + 3 * _waves(at, 28, rng)
        place = (across / WRINKLE_APART + 0.5) % 1 - 0.5
        line = np.exp(-((place * WRINKLE_APART) ** 2) / (2 * WRINKLE_MM**2))
        where = _rise(at[:, 1], 10, 25) if turn == 0 else _rise(turn * at[:, 0], 12, 24) * (at[:, 1] < 10)
        height -= skin * WRINKLE_DEEP * where * _rise(_waves(at, 45, rng), -0.4, 0.4) * line
    around = np.arctan2(at[:, 0], at[:, 2]) * 80 + 6 * _waves(at, 40, rng)  # strands run from the crown downwards
    for length, amplitude in STRANDS:
        height += hair * amplitude * np.sin(2 * np.pi * around / length + 1.5 * _waves(at, 15, rng))
    return height


def _rise(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _waves(at: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Slow solid noise of about -1 to 1: six plane waves of that length in millimetres."""
    total = np.zeros(len(at))
    for _ in range(6):
        axis = rng.normal(size=3)
        axis *= 2 * np.pi / (length * np.linalg.norm(axis))
        total += np.sin(at @ axis + rng.uniform(0, 2 * np.pi))
    return total / 3


def photograph(relief: Relief, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Linear picture [H, W, 3] and coverage [H, W]: four samples a pixel, one in pixels finer than the relief."""
    samples = 1 if camera.width >= SHARP else 2
    fine = camera.resize(samples * camera.width, samples * camera.height)
    pictures, hits = [], []
    for strip in _strips(fine):
        found = make_rasteriser("cpu", [strip]).render(relief.vertices, relief.faces, relief.colors)
        hit = (found.triangle[0] >= 0).astype(np.float32)
        assert found.attributes is not None
        picture = _lit(found.attributes[0], found.normals[0], camera, relief.gloss)
        picture = picture * hit[..., None] + GREY * (1 - hit[..., None])
        size = strip.width // samples, strip.height // samples
        pictures.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        hits.append(cv2.resize(hit, size, interpolation=cv2.INTER_AREA))
    return np.concatenate(pictures), np.concatenate(hits)


def _strips(camera: Camera) -> Iterator[Camera]:
    for y in range(0, camera.height, STRIP):
        yield camera.crop(0, y, camera.width, min(STRIP, camera.height - y))


def _lit(colors: np.ndarray, normals: np.ndarray, camera: Camera, gloss: float) -> np.ndarray:
    """Two lamps and the sky, and a broad highlight; far enough that one viewing direction serves the whole view."""
    light = 0.30 + 0.12 * normals[..., 1:2]
    view = -camera.forward
    shine = np.zeros_like(light)
    for lamp, power in ((KEY, 0.65), (FILL, 0.25)):
        lamp = lamp / np.linalg.norm(lamp)
        light = light + power * np.maximum(normals @ lamp.astype(np.float32), 0)[..., None]
        half = (lamp + view) / np.linalg.norm(lamp + view)
        shine = shine + power * np.maximum(normals @ half.astype(np.float32), 0)[..., None] ** 20
    return (colors * light + gloss * 0.5 * shine).astype(np.float32)


def write_captures(data: Path, name: str, sizes: Sequence[int], folder: Path) -> list[Path]:
    """Captures of one head at every size; returns their files."""
    original = record.load(data / "captures" / name)
    relief = carved(data, name)
    largest = max(sizes)
    folder = (folder / name).resolve()
    rng = np.random.default_rng(1)
    evaluation = _truth(relief, original, folder / "eval")
    views: list[list[View]] = [[] for _ in sizes]
    for view in original.views:
        camera = view.camera.resize(largest, round(view.camera.height * largest / view.camera.width))
        picture, hit = photograph(relief, camera)
        for size, made in zip(sizes, views, strict=True):
            small = camera.resize(size, round(camera.height * size / camera.width))
            shape = small.width, small.height
            pixels = to_srgb(cv2.resize(picture, shape, interpolation=cv2.INTER_AREA))
            pixels = pixels + rng.normal(scale=NOISE, size=pixels.shape)
            matte = cv2.resize(hit, shape, interpolation=cv2.INTER_AREA)
            image, mask = (folder / f"{kind}_{size}" / f"{view.name}.{end}"
                           for kind, end in (("images", "jpg"), ("masks", "png")))  # fmt: skip
            for part in (image, mask):
                part.parent.mkdir(parents=True, exist_ok=True)
            bgr = np.rint(np.clip(pixels[..., ::-1], 0, 1) * 255).astype(np.uint8)
            cv2.imwrite(str(image), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            write(mask, np.rint(matte * 255).astype(np.uint8))
            made.append(View(small, image, mask))
    files = []
    for size, made in zip(sizes, views, strict=True):
        capture = replace(
            original, name=f"{name}-{size}", views=tuple(made), evaluation=evaluation, subsets=None,
            notes="made by bench.relief: a test head with pores, wrinkles and strands",
        )  # fmt: skip
        files.append(record.save(capture, folder, f"capture-{size}.json"))
    return files


def _truth(relief: Relief, original: Capture, folder: Path) -> Evaluation:
    assert original.evaluation is not None
    folder.mkdir(parents=True, exist_ok=True)
    near, far = original.evaluation.depth_range
    views = []
    for view in original.evaluation.views:
        camera = view.camera.resize(EVALUATED, round(view.camera.height * EVALUATED / view.camera.width))
        found = make_rasteriser("cpu", [camera]).render(relief.vertices, relief.faces, relief.face)
        hit = found.triangle[0] >= 0
        depth, normals, mask = (folder / f"{view.camera.name}_{kind}.png" for kind in ("depth", "normal", "mask"))
        stored = np.rint((found.depth[0] - near) / (far - near) * 65534 + 1)
        write(depth, np.where(hit, stored, 0).astype(np.uint16))
        write_normals(normals, camera.normals_from_world(found.normals[0]) * hit[..., None])
        assert found.attributes is not None
        face = found.attributes[0][..., 0] > 0.5
        write(mask, np.where(hit, np.where(face, 255, 128), 0).astype(np.uint8))
        views.append(EvaluationView(camera, depth, normals, mask))
    return Evaluation(tuple(views), (near, far), record.NormalsEncoding(), None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.relief", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder with heads/ and captures/")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--heads", nargs="+", default=["valid_wf2", "marble_bust"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    options = parser.parse_args()
    for name in options.heads:
        for path in write_captures(options.data, name, options.sizes, options.output):
            print(path, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
