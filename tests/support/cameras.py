"""Reference cameras and their files in the formats of other programs, written here independently of the importers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bridge.capture.cameras import Camera, Distortion

from .synthetic import ring

WIDTH, HEIGHT = 64, 48  # not square, so that a swap of the two shows
FLIP = np.diag([1.0, -1.0, -1.0])


def rig(count: int = 4) -> list[Camera]:
    """Cameras around the origin, all different, with a principal point off the middle."""
    cameras = []
    for index, camera in enumerate(ring(count, np.zeros(3), 1.0, WIDTH)):
        f = 80.0 + 3 * index
        K = np.array([[f, 0, WIDTH / 2 + 1.25 + index], [0, f, HEIGHT / 2 - 2.5], [0, 0, 1.0]])
        cameras.append(replace(camera, K=K, height=HEIGHT))
    return cameras


def photos(folder: Path, names: list[str], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (index, 90, 120)).save(path)
    return folder


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """World points to pixels with distortion: OpenCV's own formula in the normalised plane, then K with its skew."""
    d = (camera.distortion or Distortion()).coefficients()
    rvec, _ = cv2.Rodrigues(camera.R)
    plane, _ = cv2.projectPoints(points, rvec, camera.t, np.eye(3), d)
    plane = plane.reshape(-1, 2)
    return plane @ camera.K[:2, :2].T + camera.K[:2, 2]


def points(count: int = 200, spread: float = 0.5) -> np.ndarray:
    return np.random.default_rng(7).uniform(-spread, spread, size=(count, 3))


def error(a: Camera, b: Camera, world: np.ndarray | None = None, scale: float = 1.0) -> float:
    """Largest distance in pixels; b's world is scale times a's."""
    world = points() if world is None else world
    return float(np.abs(project(a, world) - project(b, world * scale)).max())


def quaternion(R: np.ndarray) -> np.ndarray:
    rvec, _ = cv2.Rodrigues(R)
    angle = np.linalg.norm(rvec)
    return np.array([np.cos(angle / 2), *(np.sin(angle / 2) * rvec.ravel() / angle)])


def colmap_text(folder: Path, cameras: list[Camera], model: str = "PINHOLE", extra: tuple = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lens, images = [], []
    for i, camera in enumerate(cameras, 1):
        f, cx, cy = camera.K[0, 0], camera.K[0, 2], camera.K[1, 2]
        shared = model.startswith("SIMPLE") or model in ("RADIAL", "RADIAL_FISHEYE")
        params = [f, cx, cy, *extra] if shared else [f, f, cx, cy, *extra]
        lens.append(f"{i} {model} {camera.width} {camera.height} " + " ".join(f"{p:.17g}" for p in params))
        pose = " ".join(f"{v:.17g}" for v in [*quaternion(camera.R), *camera.t])
        images += [f"{i} {pose} {i} {camera.name}.png", "1.5 2.5 -1 3.5 4.5 7" if i % 2 else ""]
    (folder / "cameras.txt").write_text("# comment\n" + "\n".join(lens) + "\n")
    (folder / "images.txt").write_text(f"# Number of images: {len(cameras)}\n" + "\n".join(images) + "\n")
    return folder


def metashape(
    file: Path,
    cameras: list[Camera],
    calibration: Callable[[Camera], str] | None = None,
    world: tuple[float, np.ndarray, np.ndarray] | None = None,
    where: str = "chunk",
) -> Path:
    """cameras.xml. world: chunk -> world as (scale, rotation, offset); the cameras given are those of the world."""
    scale, turn, offset = world or (1.0, np.eye(3), np.zeros(3))

    def plain(camera: Camera) -> str:
        K = camera.K
        cx, cy = K[0, 2] - camera.width / 2, K[1, 2] - camera.height / 2
        return f"<f>{K[1, 1]!r}</f><cx>{cx!r}</cx><cy>{cy!r}</cy><b1>{K[0, 0] - K[1, 1]!r}</b1><b2>{K[0, 1]!r}</b2>"

    sensors, shots = "", ""
    for i, camera in enumerate(cameras):
        chunk = camera.transformed(1 / scale, turn.T, -turn.T @ offset / scale)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = chunk.R.T, chunk.center
        numbers = " ".join(f"{v:.17g}" for v in pose.ravel())
        size = f'<resolution width="{camera.width}" height="{camera.height}"/>'
        body = (calibration or plain)(camera).replace("np.float64(", "").replace(")", "")
        sensors += (
            f'<sensor id="{i}" label="s{i}" type="frame">{size}<calibration class="initial"><f>1</f></calibration>'
            f'<calibration type="frame" class="adjusted">{size}{body}</calibration></sensor>'
        )
        component = ' component_id="0"' if where == "component" else ""
        shots += f'<camera id="{i}" sensor_id="{i}" label="{camera.name}"{component}>'
        shots += f"<transform>{numbers}</transform></camera>"
    rotation = " ".join(f"{v:.17g}" for v in turn.ravel())
    place = (
        f"<transform><rotation>{rotation}</rotation><translation>{' '.join(f'{v:.17g}' for v in offset)}</translation>"
        f"<scale>{scale!r}</scale></transform>"
        if world
        else ""
    )
    inside = f'<components><component id="0">{place}</component></components>' if where == "component" else place
    file.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><document version="2.0.0"><chunk label="c"><sensors>{sensors}</sensors>'
        f"<cameras><group>{shots}</group></cameras>{inside}</chunk></document>"
    )
    return file


def xmp(
    folder: Path, cameras: list[Camera], model: str = "perspective", k: str = "0 0 0 0 0 0", as_elements=False
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for camera in cameras:
        longer = max(camera.width, camera.height)
        values = {
            "DistortionModel": model,
            "DistortionCoeficients": k,
            "FocalLength35mm": repr(float(camera.K[0, 0] * 36 / longer)),
            "PrincipalPointU": repr(float((camera.K[0, 2] - camera.width / 2) / longer)),
            "PrincipalPointV": repr(float((camera.K[1, 2] - camera.height / 2) / longer)),
            "Rotation": " ".join(f"{v:.17g}" for v in camera.R.ravel()),
            "Position": " ".join(f"{v:.17g}" for v in camera.center),
        }
        attributes = "" if as_elements else " ".join(f'xcr:{key}="{value}"' for key, value in values.items())
        elements = "".join(f"<xcr:{key}>{value}</xcr:{key}>" for key, value in values.items()) if as_elements else ""
        (folder / f"{camera.name}.xmp").write_text(
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description xmlns:xcr="http://www.capturingreality.com/ns/xcr/1.1#" {attributes}>{elements}'
            "</rdf:Description></rdf:RDF></x:xmpmeta>"
        )
    return folder


def krt(file: Path, cameras: list[Camera], distortion: str = "0 0 0 0 0") -> Path:
    lines = []
    for camera in cameras:
        rows = [" ".join(f"{v:.17g}" for v in row) for row in camera.K]
        pose = [" ".join(f"{v:.17g}" for v in (*camera.R[i], camera.t[i])) for i in range(3)]
        lines += [camera.name, *rows, distortion, *pose, ""]
    file.write_text("\n".join(lines) + "\n")
    return file


def idr(file: Path, cameras: list[Camera], scale: float = -2.5) -> Path:
    arrays = {}
    for i, camera in enumerate(cameras):
        P = np.eye(4)
        P[:3] = scale * camera.K @ np.column_stack([camera.R, camera.t])
        arrays |= {f"world_mat_{i}": P, f"scale_mat_{i}": np.diag([3.0, 3, 3, 1])}
    np.savez(file, **arrays)
    return file
