"""cameras.npz of IDR, NeuS and H3DS: world_mat_i = K [R | t] (the upper 3 x 4), scale_mat_i for their unit sphere.

Conventions. Pose: world -> camera, OpenCV axes; K, R, t by RQ decomposition with a positive diagonal. Pixels: as K
was made; files made from COLMAP have the first centre at (0.5, 0.5), ours, and --first-pixel 0 adds the half pixel
where a data set counts from the centre. No distortion. The world is that of world_mat: scale_mat (unit sphere ->
world) is not applied, for the world has the true scale. The unit is not in the file: H3DS and DTU are in millimetres
(--unit-mm 1).

The file has no names: camera i belongs to the i-th image, or to the one whose number is i where counts differ.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from ..errors import BridgeError
from .pictures import Pictures
from .records import Calibration, Rig, make_view, refuse

ARRAY_LIMIT = 1 << 20  # bytes of one array in the file: a matrix has 128


def read(source: Path, pictures: Pictures) -> Rig:
    """The rig of an IDR or NeuS cameras.npz. Raises BridgeError."""
    file = _file(source)
    matrices = _matrices(file)
    if not matrices:
        raise refuse(f"'{file.name}'", "holds no world_mat_0", "Give the cameras.npz of an IDR, NeuS or H3DS scene.")
    images = pictures.all()
    pairs = _pairs(sorted(matrices), images, file.name)
    views = []
    for key, image in pairs:
        where = f"world_mat_{key} of '{file.name}'"
        K, R, t = decompose(matrices[key], where)
        views.append(make_view(pictures, image, where, Calibration(K, R, t)))
    note = "The file has no unit: the scale is unknown unless --unit-mm is given (1 for H3DS and DTU)."
    return Rig(tuple(views), None, (note,))


def decompose(P: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K, R, t of a projection matrix [3, 4] of any scale and sign."""
    M = P[:, :3]
    size = np.abs(M).max()
    if not np.isfinite(P).all() or size == 0 or abs(np.linalg.det(M / size)) < 1e-12:
        raise refuse(where, "must be a projection matrix (its left 3 x 3 part is singular or not finite)")
    # the sign of P is free: R is a rotation for exactly one of them, so a mirror cannot be seen in this format
    P = P * np.sign(np.linalg.det(M))
    M = P[:, :3]
    # RQ by QR of the rows and columns reversed
    q, r = np.linalg.qr(np.flipud(M).T)
    K, R = np.flipud(r.T)[:, ::-1], np.flipud(q.T)
    signs = np.diag(np.sign(np.diag(K)))
    K, R = K @ signs, signs @ R
    t = np.linalg.solve(K, P[:, 3])
    K = K / K[2, 2]
    K[1, 0] = K[2, 0] = K[2, 1] = 0.0
    if abs(K[0, 1]) < 1e-6 * K[0, 0]:
        K[0, 1] = 0.0  # rounding of the product
    return K, R, t


def _file(source: Path) -> Path:
    if not source.is_dir():
        return source
    for name in ("cameras.npz", "cameras_sphere.npz"):
        if (source / name).is_file():
            return source / name
    raise refuse(f"'{source}'", "holds no cameras.npz", "Give the file.")


def _matrices(file: Path) -> dict[int, np.ndarray]:
    found = {}
    try:
        with zipfile.ZipFile(file) as archive:
            large = [item.filename for item in archive.infolist() if item.file_size > ARRAY_LIMIT]
        if large:
            raise refuse(f"'{file.name}'", f"holds an array that is no camera matrix: '{large[0]}'")
        with np.load(file, allow_pickle=False) as arrays:
            for name in arrays.files:
                match = re.fullmatch(r"world_mat_(\d{1,9})", name)
                if not match:
                    continue
                matrix = np.asarray(arrays[name])
                if matrix.dtype.kind not in "fiu" or matrix.shape not in ((4, 4), (3, 4)):
                    raise refuse(f"'{file.name}'", f"must hold {name} as 4 x 4 numbers")
                found[int(match.group(1))] = matrix[:3].astype(np.float64)
    except BridgeError:
        raise
    except OSError as error:
        raise refuse(f"'{file}'", f"cannot be read: {error.strerror or error}", "Check the path.") from None
    except Exception as error:  # a damaged archive makes zipfile, zlib and numpy raise a dozen kinds
        raise refuse(f"'{file.name}'", f"is truncated or no .npz file ({error})") from None
    return found


def _pairs(keys: list[int], images: list[Path], file: str) -> list[tuple[int, Path]]:
    if len(images) == len(keys):
        return list(zip(keys, images))
    by_number: dict[int, list[Path]] = {}
    for image in images:
        digits = re.search(r"(\d{1,12})\D*$", image.stem)
        if digits:
            by_number.setdefault(int(digits.group(1)), []).append(image)
    pairs = [(key, by_number[key][0]) for key in keys if len(by_number.get(key, ())) == 1]
    if not pairs or len(pairs) < len(keys):
        raise refuse(
            f"'{file}'",
            f"holds {len(keys)} cameras, the folder {len(images)} images, and their numbers do not tell which is which",
            "Give the folder with one image per camera, with --images.",
        )
    return pairs
