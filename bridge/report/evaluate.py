"""python -m bridge evaluate: the paper's metrics of a mesh against a capture's ground truth (supplement S4).

Over the capture's novel views at 512 px, inside the face mask and where both surfaces are hit:
depth_mm         mean |depth difference|
normal_deg       mean angle between normals; below_10_pct: share of the pixels below 10 degrees
normal_gradient  mean L1 distance between the Sobel responses of the two normal maps (punishes smoothing): the sum over
                 three channels and two directions, the kernels scaled to give the difference per pixel
coverage_pct     share of the face mask that the mesh covers
surface_pct      mean distance between the surfaces where the input views look, in % of the true mesh's bounding-box
                 diagonal (bridge/surface_error.py), if the capture names the true mesh
crossing_faces   faces of the mesh that pass through each other
No alignment by default: a result is already in the capture's frame. --align procrustes brings a mesh from elsewhere to
the true one, in the end by what the face masks show of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from ..capture import record as captures
from ..capture.cameras import Camera
from ..capture.images import read_normals, resize_map
from ..errors import BridgeError
from ..mesh.intersections import intersecting_faces
from ..mesh.normals import vertex_normals
from ..raster import make_rasteriser
from . import results
from .surface_error import surface_error

SIZE = 512  # pixels of the longer side of an evaluation view
FACE = 255  # value of the face in an evaluation mask
GOOD_DEG = 10.0
DEPTH_PIXELS = 3.0  # pixels' width between a vertex and the depth of a view that shows it
ROUNDS, ALIGNED = 60, 20_000  # of an alignment, and the vertices that take part
SOBEL_NORM = 8.0  # the 3 x 3 Sobel kernel then gives the difference per pixel


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth of one novel view at evaluation size."""

    camera: Camera
    depth: np.ndarray  # [H, W] float32 world units, 0 = background
    normals: np.ndarray  # [H, W, 3] float32 camera space (x right, y up, z to the camera), 0 = background
    face: np.ndarray  # [H, W] bool


@dataclass(frozen=True)
class Score:
    """The metrics of one mesh; lengths are millimetres, or world units where the capture's scale is unknown."""

    depth_mm: float
    depth_median_mm: float
    normal_deg: float
    normal_median_deg: float
    below_10_pct: float
    normal_gradient: float
    coverage_pct: float
    views: int
    pixels: int
    aligned: bool
    surface_pct: float | None
    surface_p95_pct: float | None
    crossing_faces: int


def evaluate(
    capture: captures.Capture,
    vertices: np.ndarray,
    faces: np.ndarray,
    align: tuple[np.ndarray, np.ndarray] | None = None,
    size: int = SIZE,
) -> Score:
    """Score a mesh (world vertices [V, 3], triangles [F, 3]). Raises BridgeError without ground truth.

    size: pixels of the views' longer side; detail finer than SIZE shows is judged in larger ones.

    align: ground-truth vertices [N, 3] and triangles; the mesh is first brought to what the views judge of them.
    """
    if capture.evaluation is None or not capture.evaluation.views:
        raise BridgeError(
            "no-truth",
            f"The capture '{capture.name}' has no evaluation block, so nothing can be measured.",
            "Give a capture with ground truth.",
        )
    truths = [read_truth(capture.evaluation, i, size) for i in range(len(capture.evaluation.views))]
    if align is not None:
        vertices = align_similarity(vertices, *align, inside_evaluation_masks(truths, align[0]))
    # numbers stay small, and float32 exact enough, about the mesh's own centre
    center = vertices.mean(0)
    cameras = [truth.camera.transformed(1.0, np.eye(3), -center) for truth in truths]
    renders = make_rasteriser("cpu", cameras).render((vertices - center).astype(np.float32), faces)
    unit = capture.unit_mm or 1.0
    depth, angle, gradient, covered, face_pixels = [], [], [], 0, 0
    for i, truth in enumerate(truths):
        hit = renders.triangle[i] >= 0
        ours = truth.camera.normals_from_world(renders.normals[i]) * hit[..., None]
        both = hit & truth.face
        face_pixels += int(truth.face.sum())
        covered += int(both.sum())
        depth.append(np.abs(renders.depth[i] - truth.depth)[both] * unit)
        cosine = np.clip((ours * truth.normals).sum(-1)[both], -1, 1)
        angle.append(np.degrees(np.arccos(cosine)))
        gradient.append(np.abs(_sobel(ours) - _sobel(truth.normals)).sum(-1)[both])
    depths, angles, gradients = np.concatenate(depth), np.concatenate(angle), np.concatenate(gradient)
    if not len(depths):
        raise BridgeError(
            "no-overlap",
            "The mesh is not where the ground truth's face is in any evaluation view.",
            "Check its frame and scale, or pass --align procrustes.",
        )
    surface = None
    if capture.evaluation.mesh is not None:
        inputs = [view.camera for view in capture.views]
        surface = surface_error(inputs, vertices, faces, *results.read_ply(capture.evaluation.mesh))
    return Score(
        depth_mm=float(depths.mean()),
        depth_median_mm=float(np.median(depths)),
        normal_deg=float(angles.mean()),
        normal_median_deg=float(np.median(angles)),
        below_10_pct=float((angles < GOOD_DEG).mean() * 100),
        normal_gradient=float(gradients.mean()),
        coverage_pct=covered / face_pixels * 100,
        views=len(truths),
        pixels=len(depth),
        aligned=align is not None,
        surface_pct=None if surface is None else surface.mean_pct,
        surface_p95_pct=None if surface is None else surface.p95_pct,
        crossing_faces=int(intersecting_faces(vertices - center, faces).sum()),
    )


def read_truth(evaluation: captures.Evaluation, index: int, size: int = SIZE) -> Truth:
    """One evaluation view, area-averaged to size; pixels that mix surface and background count as background."""
    view = evaluation.views[index]
    where = f"evaluation view '{view.camera.name}'"
    normals = read_normals(view.normals, evaluation.normals_encoding, where)
    stored = cv2.imread(str(view.depth), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(view.mask), cv2.IMREAD_GRAYSCALE)
    if stored is None or mask is None:
        raise BridgeError("image-unreadable", f"The depth or mask of {where} cannot be read.", "Copy it again.")
    near, far = evaluation.depth_range
    depth = (near + (stored.astype(np.float32) - 1) / 65534 * (far - near)).astype(np.float32)
    known = (stored > 0) & (normals != 0).any(-1)
    scale = size / max(stored.shape)
    height, width = round(stored.shape[0] * scale), round(stored.shape[1] * scale)
    whole = resize_map(known.astype(np.float32), width, height) > 0.999
    normals = resize_map(normals * known[..., None], width, height)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    # 1/depth is linear across a plane in the image, depth is not
    inverse = resize_map(np.where(known, 1 / np.maximum(depth, 1e-6), 0).astype(np.float32), width, height)
    face = whole & (resize_map((mask == FACE).astype(np.float32), width, height) > 0.999)
    depth = np.where(whole, 1 / np.maximum(inverse, 1e-9), 0).astype(np.float32)
    return Truth(view.camera.resize(width, height), depth, normals * whole[..., None], face)


def inside_evaluation_masks(truths: Sequence[Truth], vertices: np.ndarray) -> np.ndarray:  # [N] bool
    """Which true vertices [N, 3] a view shows inside its face mask."""
    found = np.zeros(len(vertices), bool)
    for truth in truths:
        pixels, z = truth.camera.project(vertices)
        x, y = np.floor(np.nan_to_num(pixels.T, posinf=-1, neginf=-1)).astype(int)
        height, width = truth.face.shape
        inside = (z > 0) & (x >= 0) & (y >= 0) & (x < width) & (y < height)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        near = np.abs(z - truth.depth[y, x]) < DEPTH_PIXELS * z / truth.camera.K[0, 0]
        found |= inside & near & truth.face[y, x]
    return found


def align_similarity(
    source: np.ndarray, target: np.ndarray, target_faces: np.ndarray, counts: np.ndarray | None = None
) -> np.ndarray:  # [V, 3]
    """Source vertices after the similarity that brings them closest to the target's surface.

    Iterated point-to-plane fit (Chen and Medioni 1992) with a scale, the worst fifth of the points left out each
    round. Starts as it is or from equal centroids and equal spread, whichever is closer, so that both must be upright
    within some 30 degrees. counts [N]: the target's vertices that decide in the end, all by default: necks, backs and
    insides, where one surface has what the other lacks, would pull a face away from its place.
    """
    from scipy.spatial import cKDTree

    center = target.mean(0)
    spread = np.linalg.norm(target - center, axis=1).mean()
    surface = (target - center) / spread
    normals = vertex_normals(surface, target_faces)
    tree = cKDTree(surface)
    points = source - source.mean(0)
    points = points / np.linalg.norm(points, axis=1).mean()
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(points))[:ALIGNED]
    starts = (points, (source - center) / spread)
    points = min(starts, key=lambda start: np.median(tree.query(start[chosen])[0]))
    points = _fitted(points, chosen, surface, normals, tree)
    if counts is not None and counts.any():
        # asked from the truth: what stands before it, such as a web under the chin, is nobody's nearest
        near = np.unique(cKDTree(points).query(surface[counts])[1])
        points = _fitted(points, rng.permutation(near)[:ALIGNED], surface, normals, tree)
    return points * spread + center


def _fitted(points: np.ndarray, chosen: np.ndarray, surface: np.ndarray, normals: np.ndarray, tree) -> np.ndarray:
    """All points [V, 3] after the similarity that brings the chosen ones closest to a surface about as large as 1."""
    for _ in range(ROUNDS):
        p = points[chosen]
        distance, nearest = tree.query(p)
        keep = distance <= np.quantile(distance, 0.8)
        p, n = p[keep], normals[nearest[keep]]
        gap = ((surface[nearest[keep]] - p) * n).sum(1)
        # p' = p + turn x p + growth p + shift, all small
        system = np.concatenate([np.cross(p, n), (p * n).sum(1, keepdims=True), n], axis=1)
        x = np.linalg.lstsq(system, gap, rcond=None)[0]
        rotation = Rotation.from_rotvec(x[:3]).as_matrix()
        points = (1 + x[3]) * points @ rotation.T + x[4:]
        if np.abs(x).max() < 1e-6:
            break
    return points


def _sobel(normals: np.ndarray) -> np.ndarray:  # [H, W, 3] -> [H, W, 6]
    along = [cv2.Sobel(normals, cv2.CV_32F, dx, 1 - dx, ksize=3) / SOBEL_NORM for dx in (1, 0)]
    return np.concatenate(along, axis=-1)


def main(argv: list[str]) -> int:
    """Run `python -m bridge evaluate`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bridge evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("capture", type=Path)
    parser.add_argument("mesh", type=Path, help="a .ply or the .npz of a run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--align", choices=("none", "procrustes"), default="none")
    options = parser.parse_args(argv)
    try:
        capture = captures.load(options.capture)
        vertices, faces = _read_mesh(options.mesh)
        align = None
        if options.align == "procrustes":
            if capture.evaluation is None or capture.evaluation.mesh is None:
                raise BridgeError(
                    "no-truth", "The capture names no ground-truth mesh to align to.", "Leave out --align."
                )
            align = results.read_ply(capture.evaluation.mesh)
        score = evaluate(capture, vertices, faces, align)
    except BridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    figures = {"capture": capture.name, "mesh": options.mesh.name} | vars(replace(score))
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            print(f"{name:18} {value:.4f}" if isinstance(value, float) else f"{name:18} {value}")
    return 0


def _read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if path.suffix.lower() != ".npz":
        return results.read_ply(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["vertices"].astype(np.float64), arrays["faces"].astype(np.int32)
    except (OSError, KeyError, ValueError) as error:
        raise BridgeError("mesh", f"The mesh '{path}' cannot be read: {error}.", "Give a run's head.npz.") from None
