"""KRT of facebookresearch/multiface and of rigs that copied it.

Per camera a line with its name, three of K, one of distortion (k1 k2 p1 p2 k3 in OpenCV's order), three of [R | t]
and a blank one. Conventions. Pose: world -> camera, OpenCV axes: ours; the world is in millimetres. Pixels: the
authors' renderer (utils.py) maps [0, W] to the whole image, so the first centre is (0.5, 0.5): ours. Rigs whose K
comes straight from an OpenCV calibration have it at (0, 0): --first-pixel 0 adds the half pixel. Distortion: the
authors' loader keeps the numbers and never uses them; where they are not zero they are imported, and a note says so.

The image of camera 400002 is 400002.* or the first image in a folder 400002 (a sequence).
"""

from __future__ import annotations

from pathlib import Path

from ..capture.cameras import Distortion
from ..capture.record import View
from . import lens
from .pictures import Pictures
from .records import Calibration, Rig, make_view, numbers, read_text, refuse

MILLIMETRES = 1.0


def read(source: Path, pictures: Pictures) -> Rig:
    """The rig of Multiface's KRT file. Raises BridgeError."""
    file = source / "KRT" if source.is_dir() else source
    lines = [(index, line.strip()) for index, line in enumerate(read_text(file).splitlines(), 1)]
    lines = [(index, line) for index, line in lines if line]
    if not lines or len(lines) % 8:
        raise refuse(
            f"'{file.name}'", f"must hold 8 lines for every camera and ends after {len(lines)}: it is truncated"
        )
    views: list[View] = []
    bent, sequences = [], []
    for start in range(0, len(lines), 8):
        index, name = lines[start]
        where = f"camera '{name}' of '{file.name}' (line {index})"
        rows = [line.split() for _, line in lines[start + 1 : start + 8]]
        K = numbers(_sized(rows[0:3], 3, where, "K"), (3, 3), where, "K")
        k = numbers(rows[3], 5, where, "the distortion")
        pose = numbers(_sized(rows[4:7], 4, where, "[R | t]"), (3, 4), where, "[R | t]")
        if K[1, 0] or K[2, 0] or K[2, 1] or K[2, 2] != 1:
            raise refuse(where, "must give K as an upper triangular matrix that ends in 0 0 1")
        distortion = lens.plain(Distortion(k[0], k[1], k[2], k[3], k3=k[4]))
        with pictures.left_out():
            image, count = _image(name, where, pictures)
            found = Calibration(K, pose[:, :3], pose[:, 3], distortion=distortion, name=name)
            views.append(make_view(pictures, image, where, found))
            if count > 1:
                sequences.append(name)
            if distortion:
                bent.append(name)
    notes = []
    if bent:
        notes.append(
            f"The distortion of {len(bent)} cameras is used; set it to zero if the images are undistorted already."
        )
    if sequences:
        notes.append(f"{len(sequences)} cameras have a sequence of images; the first of each was taken.")
    return Rig(tuple(views), MILLIMETRES, tuple(notes))


def _sized(rows: list[list[str]], width: int, where: str, field: str) -> list[list[str]]:
    if any(len(row) != width for row in rows):
        raise refuse(where, f"must give {field} as 3 lines of {width} numbers")
    return rows


def _image(name: str, where: str, pictures: Pictures) -> tuple[Path, int]:
    return pictures.frame(name) or (pictures.find(name, where), 1)
