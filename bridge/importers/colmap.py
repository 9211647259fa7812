"""COLMAP models, text or binary: a folder with cameras.txt and images.txt, or cameras.bin and images.bin.

Conventions. Pose: quaternion (w, x, y, z) and translation, world -> camera, OpenCV axes: ours. Pixels: the centre of
the first is (0.5, 0.5): ours. Distortion: OPENCV has k1 k2 p1 p2 and FULL_OPENCV k1 k2 p1 p2 k3 k4 k5 k6 in OpenCV's
meaning. The world has no unit. rigs and frames of newer versions only explain the poses, which images.* still holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import BridgeError
from .colmap_binary import cameras as binary_cameras
from .colmap_binary import images as binary_images
from .colmap_models import MODELS, Lens, model, unknown_model
from .pictures import Pictures
from .records import Calibration, Rig, make_view, number, numbers, read_text, refuse, whole

# where a project keeps its models: in the folder that is given, or in one of these below it
PLACES = ("sparse", "colmap/sparse", "dense/sparse", "dense/0/sparse", "colmap/dense/sparse", "colmap")


@dataclass(frozen=True, eq=False)
class Pose:
    """One entry of images.*"""

    name: str
    camera: int
    quaternion: np.ndarray  # [4] w x y z
    t: np.ndarray  # [3]


def read(source: Path, pictures: Pictures) -> Rig:
    """The rig of a COLMAP model, text or binary. Raises BridgeError."""
    folder, suffix, others = _model_folder(source)
    notes: list[str] = []
    if suffix == ".bin":
        lenses = binary_cameras(folder / "cameras.bin")
        poses = [Pose(*values) for values in binary_images(folder / "images.bin")]
    else:
        lenses = _text_cameras(folder / "cameras.txt")
        poses = list(_text_images(folder / "images.txt"))
        notes += _wrong_count(folder / "images.txt", "images", len(poses))
    views = []
    for pose in sorted(poses, key=lambda pose: pose.name):
        where = f"image '{pose.name}' of 'images{suffix}'"
        if pose.camera not in lenses:
            raise refuse(where, f"uses camera {pose.camera}, which 'cameras{suffix}' does not hold")
        camera = lenses[pose.camera]
        size = (camera.width, camera.height)
        K, distortion = model(camera, f"Camera {pose.camera} of 'cameras{suffix}'")
        R = from_quaternion(pose.quaternion, where)
        with pictures.left_out():
            views.append(make_view(pictures, pose.name, where, Calibration(K, R, pose.t, size, distortion)))
    if others:
        notes.append(
            f"The project holds {others + 1} models; this is the largest, number {folder.name}. "
            "Give another one's folder to import it."
        )
    return Rig(tuple(views), None, tuple(notes))


def from_quaternion(q: np.ndarray, where: str) -> np.ndarray:
    """The rotation [3, 3] of a quaternion [4] w x y z of any length. Raises BridgeError where it is 0."""
    length = np.linalg.norm(q)
    if not 1e-6 < length < 1e6:
        raise refuse(where, "must give its rotation as a quaternion that is not zero")
    w, x, y, z = q / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _model_folder(source: Path) -> tuple[Path, str, int]:
    """The model's folder, the ending of its files, and how many smaller models the project holds beside it."""
    base = source if source.is_dir() else source.parent
    for folder in (base, *(base / place for place in PLACES)):
        numbered = [inside for inside in _folders(folder) if inside.name.isdigit()]
        for models in ([folder], numbered):
            found = [(_size(model, suffix), model, suffix) for model in models if (suffix := _suffix(model, source))]
            if found:
                _, model, suffix = max(found, key=lambda item: item[0])  # of equal ones the first
                return model, suffix, len(found) - 1
    raise refuse(
        f"'{source}'",
        "holds no COLMAP model: cameras and images, both .bin or both .txt",
        "Give the folder of the model, such as sparse/0.",
    )


def _folders(folder: Path) -> list[Path]:
    """The folders inside, in the order of their numbers."""
    inside = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(inside, key=lambda path: (len(path.name), path.name))


def _suffix(folder: Path, source: Path) -> str | None:
    for suffix in (source.suffix,) if source.is_file() else (".bin", ".txt"):
        if (folder / f"cameras{suffix}").is_file() and (folder / f"images{suffix}").is_file():
            return suffix
    return None


def _size(folder: Path, suffix: str) -> int:
    """How many images a model has, as far as its file is sound; what is wrong with it is said when it is read."""
    try:
        if suffix == ".bin":
            return sum(1 for _ in binary_images(folder / "images.bin"))
        return sum(1 for _ in _text_images(folder / "images.txt"))
    except BridgeError:
        return 0


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for index, line in enumerate(read_text(path).splitlines(), 1):
        if not line.lstrip().startswith("#"):
            yield index, line


def _text_cameras(path: Path) -> dict[int, Lens]:
    found = {}
    for index, line in _lines(path):
        words = line.split()
        if not words:
            continue
        where = f"'{path.name}' line {index}"
        if len(words) < 5:
            raise refuse(where, "must hold CAMERA_ID MODEL WIDTH HEIGHT PARAMS")
        name = words[1]
        _, count = MODELS.get(name, (0, None))
        if count is None:
            raise unknown_model(where, name)
        width, height = (whole(words[i], where, "the image size") for i in (2, 3))
        params = numbers(words[4:], count, where, f"the parameters of {name}")
        found[whole(words[0], where, "the camera's number")] = Lens(name, width, height, params)
    return found


def _text_images(path: Path) -> Iterator[Pose]:
    lines = iter(_lines(path))
    pending: tuple[int, str] | None = None
    while True:
        index, line = pending or next(lines, (0, ""))
        pending = None
        if not index:
            return
        if not line.strip():
            continue
        where = f"'{path.name}' line {index}"
        words = line.split(maxsplit=9)
        if len(words) < 10:
            raise refuse(where, "must hold IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME")
        q = numbers(words[1:5], 4, where, "the rotation")
        t = numbers(words[5:8], 3, where, "the translation")
        yield Pose(words[9].strip(), whole(words[8], where, "the camera's number"), q, t)
        following = next(lines, None)
        # the line of points may be empty, but some writers forget it altogether
        if following and not _is_points(following[1]):
            pending = following


def _is_points(line: str) -> bool:
    words = line.split()
    if len(words) % 3:
        return False
    try:
        return all(number(word, "", "") is not None for word in words[:6])
    except BridgeError:
        return False


def _wrong_count(path: Path, what: str, found: int) -> list[str]:
    """COLMAP writes the count as a comment: a difference means that somebody cut the file."""
    for line in read_text(path).splitlines()[:10]:
        start, _, rest = line.partition(f"Number of {what}:")
        said = rest.split(",")[0].strip()
        if start.startswith("#") and said.isdigit() and int(said) != found:
            return [f"'{path.name}' announces {said} {what} and holds {found}."]
    return []
