"""A picture of a wrapped head: wireframe over shaded, distance as colours; front, side, eye, mouth and ear."""

from __future__ import annotations

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..head.landmarks import CHIN, EYE_RIGHT, EYES, FOREHEAD, LIPS_OUTER
from ..model import PARTS, Template
from ..model.template import edges_of
from ..raster import make_rasteriser
from .scan import Scan

TILE = 420  # pixels
AWAY_MM = 1500.0
WORST_MM = 1.0  # red
LIGHT = np.array([0.35, 0.45, 0.82])
COLOURS = {
    "skin": (0.72, 0.62, 0.56),
    "eye_left": (0.9, 0.9, 0.9),
    "eye_right": (0.9, 0.9, 0.9),
    "teeth_upper": (1, 1, 0.85),
    "teeth_lower": (1, 1, 0.85),
    "tongue": (0.9, 0.5, 0.5),
    "lashes": (0.15, 0.15, 0.15),
    "other": (0.5, 0.5, 0.5),
}


def sheet(template: Template, vertices: np.ndarray, distance: np.ndarray, scan: Scan) -> np.ndarray:
    """uint8 RGB; vertices [V, 3], distance [V] and scan in the template's frame. Rows: dense head, wire, distance."""
    colours = colours_of(template.part)
    level = np.clip(np.nan_to_num(distance) / WORST_MM * 255, 0, 255).astype(np.uint8)
    heat = cv2.applyColorMap(level[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1] / 255.0
    heat[np.isnan(distance)] = 0.4
    edges, triangles = edges_of(template.faces), template.triangles
    rows: list[list[np.ndarray]] = [[], [], []]
    for camera in _cameras(template, vertices):
        rows[0].append(shaded(camera, scan.vertices, scan.faces, None)[0])
        picture, depth = shaded(camera, vertices, triangles, colours)
        rows[1].append(wired(picture, depth, camera, vertices, edges))
        rows[2].append(shaded(camera, vertices, triangles, heat)[0])
    return np.vstack([np.hstack(row) for row in rows])


def colours_of(part: np.ndarray) -> np.ndarray:  # [V] -> [V, 3]
    """What each vertex's part is drawn in."""
    return np.array([COLOURS[name] for name in PARTS])[part]


def _cameras(template: Template, vertices: np.ndarray) -> list[Camera]:
    assert template.landmarks is not None  # a wrap has them
    marks = template.landmarks.points(vertices)
    middle, eye, mouth = (marks[FOREHEAD] + marks[CHIN]) / 2, marks[list(EYE_RIGHT)].mean(0), marks[list(LIPS_OUTER)]
    skin = vertices[template.of_part("skin")]
    ear = np.array([skin[:, 0].min(), marks[list(EYES), 1].mean() - 15, middle[2] - 75])
    return [
        _camera(middle - [0, 0, 40], 0.0, 330),
        _camera(middle - [0, 0, 60], -1.4, 330),
        _camera(eye, -0.15, 55),
        _camera(mouth.mean(0), 0.0, 75),
        _camera(ear, -1.4, 110),
    ]


def _camera(center: np.ndarray, yaw: float, width: float) -> Camera:
    out = np.array([np.sin(yaw), 0, np.cos(yaw)])
    x = np.cross([0, 1.0, 0], out)
    R = np.stack([x, np.cross(-out, x), -out])
    focal = TILE * AWAY_MM / width
    K = np.array([[focal, 0, TILE / 2], [0, focal, TILE / 2], [0, 0, 1.0]])
    return Camera("sheet", K, R, -R @ (center + AWAY_MM * out), TILE, TILE)


def shaded(
    camera: Camera, vertices: np.ndarray, triangles: np.ndarray, colours: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:  # [H, W, 3] uint8, [H, W]
    """A lit picture of a mesh, its vertices in colours [V, 3] or grey, and its depth."""
    shot = make_rasteriser("cpu", [camera]).render(vertices, triangles, colours)
    light = 0.25 + 0.75 * np.clip(camera.normals_from_world(shot.normals[0]) @ LIGHT, 0, 1)
    picture = light[..., None] * (0.75 if shot.attributes is None else shot.attributes[0])
    picture = np.broadcast_to(picture, (*light.shape, 3)).copy()
    picture[shot.triangle[0] < 0] = 0.05
    return (np.clip(picture, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8), shot.depth[0]


def wired(
    picture: np.ndarray, depth: np.ndarray, camera: Camera, vertices: np.ndarray, edges: np.ndarray
) -> np.ndarray:
    """The edges [E, 2] that are seen, drawn into a picture of that depth."""
    pixels, z = camera.project(vertices)
    x, y = np.clip(pixels.astype(int), 0, np.array(depth.shape[::-1]) - 1).T
    shown = z < cv2.dilate(depth, np.ones((3, 3)))[y, x] + 1.0
    for a, b in edges[shown[edges].all(1)]:
        start, end = (np.rint(pixels[k] * 8).astype(int).tolist() for k in (a, b))
        cv2.line(picture, start, end, (20, 30, 70), 1, cv2.LINE_AA, 3)
    return picture
