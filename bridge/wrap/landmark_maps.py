"""Where the face mesh's landmarks lie on a template: its people are rendered, the model is run, medians are taken.

    python -m bridge.wrap.landmark_maps hm08 ict

writes bridge/model/landmarks/NAME.npz. A capture's landmarks go through the same detection and triangulation, so what
the model puts beside the true place on every picture is part of the map.
"""

from __future__ import annotations

import sys

import numpy as np

from ..capture.cameras import Camera
from ..errors import BridgeError, Check, unchecked
from ..head.landmarks import COUNT, LIPS_INNER, LIPS_OUTER, Landmarker, find_faces
from ..head.triangulate import triangulate
from ..mesh.closest import Target, face_normals
from ..model import LandmarkMap, Template
from ..model.measured import FOLDER
from ..model.package import LANDMARKS, need
from ..raster import make_rasteriser

PEOPLE = 40
YAWS, PITCHES = (-0.8, -0.4, 0.0, 0.4, 0.8), (-0.2, 0.15)
SIZE, FOCAL, AWAY_MM = 512, 2.6, 900.0
# their lines go: corner, lower lip, corner, upper lip
LOWER_INNER, UPPER_INNER = LIPS_INNER[1:10], LIPS_INNER[11:]
LOWER_OUTER, UPPER_OUTER = LIPS_OUTER[1:10], LIPS_OUTER[11:]
RIM, FRONT = 0.1, -0.6  # how much faces look up at the lower lip's inner line at least, and at its outer one
BROWS = ((46, 53, 52, 65, 55, 107, 66, 105, 63, 70), (276, 283, 282, 295, 285, 336, 296, 334, 293, 300))


def rig(center: np.ndarray) -> list[Camera]:
    """Cameras before the face, around a point [3] in millimetres."""
    found: list[Camera] = []
    for yaw in YAWS:
        for pitch in PITCHES:
            out = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
            x = np.cross([0, 1.0, 0], out)
            x /= np.linalg.norm(x)
            R = np.stack([x, np.cross(-out, x), -out])
            K = np.array([[FOCAL * SIZE, 0, SIZE / 2], [0, FOCAL * SIZE, SIZE / 2], [0, 0, 1.0]])
            found.append(Camera(f"{len(found)}", K, R, -R @ (center + AWAY_MM * out), SIZE, SIZE))
    return found


def paint(template: Template, landmarks: LandmarkMap | None, rng: np.random.Generator) -> np.ndarray:  # [V, 3] linear
    """Skin, irises, and where a first map tells lips and brows, these too."""
    import cv2

    skin = rng.uniform(0.15, 0.7) * np.array([1.0, 0.68, 0.55])
    color = np.tile(skin, (len(template.vertices), 1))
    for eye in ("eye_left", "eye_right"):
        chosen = template.of_part(eye)
        if not chosen.any():
            continue
        points = template.vertices[chosen]
        middle = (points.min(0) + points.max(0)) / 2
        away = np.linalg.norm(points[:, :2] - middle[:2], axis=1)
        iris = (away < 5.8) & (points[:, 2] > middle[2])
        color[chosen] = np.where(iris[:, None], [0.08, 0.05, 0.04], [0.75, 0.73, 0.72])
    if landmarks is not None:
        flat = landmarks.points(template.vertices)[:, :2].astype(np.float32)
        front = template.of_part("skin") & (
            template.vertices[:, 2] > np.median(landmarks.points(template.vertices)[:, 2])
        )
        lips = np.array(
            [
                cv2.pointPolygonTest(flat[list(LIPS_OUTER)], p, False) >= 0
                for p in template.vertices[:, :2].astype(float)
            ]
        )
        color[lips & front] = skin * [0.85, 0.5, 0.55]
        for brow in BROWS:
            inside = np.array(
                [cv2.pointPolygonTest(flat[list(brow)], p, False) >= 0 for p in template.vertices[:, :2].astype(float)]
            )
            color[inside & front] = skin * 0.3
    return color


def photograph(
    template: Template, vertices: np.ndarray, color: np.ndarray, cameras: list[Camera], rng: np.random.Generator
) -> list[np.ndarray]:  # [H, W, 3] float32 sRGB
    """The template in some shape before a grey wall, softly lit from above."""
    triangles = template.triangles_of("skin", "eye_left", "eye_right")
    render = make_rasteriser("cpu", cameras).render(vertices, triangles, color)
    light = np.array([rng.uniform(-0.6, 0.6), rng.uniform(0.2, 0.8), 1.0])
    light /= np.linalg.norm(light)
    pictures = []
    assert render.attributes is not None  # the colours
    for normals, albedo, triangle in zip(render.normals, render.attributes, render.triangle):
        shade = 0.35 + 0.75 * np.clip(normals @ light, 0, 1)
        picture = np.clip(albedo * shade[..., None], 0, 1) ** (1 / 2.2)
        picture[triangle < 0] = 0.55
        pictures.append(picture.astype(np.float32))
    return pictures


def measure(
    template: Template, landmarker: Landmarker, people: int = PEOPLE, seed: int = 1, check: Check = unchecked
) -> LandmarkMap:
    """The map; of people whose coefficients are drawn by the template's own statistics."""
    rng = np.random.default_rng(seed)
    face = template.of_part("skin") & ~template.regions.get("inner", np.zeros(len(template.vertices), bool))
    triangles = template.triangles[face[template.triangles].all(1)]
    first: LandmarkMap | None = None
    for count in (8, people):
        found, weights = [], []
        color_map = first
        for _ in range(min(count, people)):
            check()
            shape = template.vertices.copy()
            if len(template.identity):
                shape += np.tensordot(rng.normal(0, 0.8, len(template.identity)), template.identity, 1)
            head = shape[face]
            center = np.array(
                [(head[:, 0].min() + head[:, 0].max()) / 2, head[:, 1].max() - 130, head[:, 2].max() - 90]
            )
            cameras = rig(center)
            pictures = photograph(template, shape, paint(template, color_map, rng), cameras, rng)
            landmarks = triangulate(cameras, find_faces(landmarker, pictures))
            if landmarks is None:
                continue
            corners, shares, far = on_surface(shape, triangles, landmarks.points)
            found.append(np.einsum("nk,nkd->nd", shares, template.vertices[corners]))
            weights.append(far)
        if not found:
            raise BridgeError(
                "landmarks-none",
                f"No face was found on pictures of the template '{template.name}'.",
                "Turn it so that +Y is up and the face looks along +Z, or set its landmarks by hand.",
            )
        places = np.stack(found)
        middle = np.median(places, 0)
        spread = np.median(np.linalg.norm(places - middle, axis=2), 0)
        corners, shares, _ = on_surface(template.vertices, triangles, middle)
        first = LandmarkMap(corners, shares, np.hypot(spread, np.median(weights, 0)))
    assert first is not None  # of the last round
    return first


def on_surface(
    vertices: np.ndarray, triangles: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # [V, 3], [T, 3], [468, 3]
    """Closest points of landmarks as corners [468, 3], weights [468, 3], and distances [468].

    Lips that touch are told apart by where their faces look: else those of the lower lip's rim would lie on the upper
    lip, and would not go with the jaw.
    """
    up = face_normals(vertices, triangles)[:, 1]
    corners, shares, far = np.empty((COUNT, 3), np.int32), np.empty((COUNT, 3)), np.empty(COUNT)
    rest = np.setdiff1d(np.arange(COUNT), [*LOWER_INNER, *UPPER_INNER, *LOWER_OUTER, *UPPER_OUTER])
    for chosen, allowed in (
        (rest, np.ones(len(up), bool)),
        (np.array(LOWER_INNER), up > RIM),
        (np.array(UPPER_INNER), up < -RIM),
        (np.array(LOWER_OUTER), up > FRONT),
        (np.array(UPPER_OUTER), up < -FRONT),
    ):
        own = triangles[allowed]
        hit = Target(vertices, own).closest(points[chosen])
        corners[chosen], shares[chosen], far[chosen] = own[hit.face], hit.weights, hit.distance
    return corners, shares, far


def main(names: list[str]) -> int:
    """Measure the maps of some templates and write them into the package."""
    from ..model.load import load_template

    landmarker = Landmarker(need(LANDMARKS))
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        found = measure(load_template(name), landmarker)
        weights, spread = found.weights.astype(np.float32), found.spread.astype(np.float32)
        np.savez_compressed(FOLDER / f"{name}.npz", corners=found.corners, weights=weights, spread=spread)
        print(f"{name}: spread median {np.median(found.spread):.2f} mm, p90 {np.quantile(found.spread, 0.9):.2f} mm")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
