"""Decode photographs and maps once, the same way everywhere: colour, size check, undistortion.

Images are returned as sRGB-encoded RGB float32 in 0..1, rows from the top. EXIF orientation is ignored on purpose:
the cameras of a capture describe the stored pixels (Blender and COLMAP read them the same way). Only where a camera
expects an image on its other side, and EXIF says that this one lies, it is turned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ..errors import BridgeError
from ..files import atomic
from . import formats, pillow
from .cameras import Camera
from .decode import decode
from .record import NormalsEncoding, View

JPEG_SUFFIXES = formats.JPEG
LINEAR = ("EXR", "HDR")  # kinds of files with linear light
LARGEST_SIDE = 32_766  # OpenCV's remap counts in 16 bits
REMAP_ROWS = 16_384
MOST_GROWN = 2.0  # times that undistorting may shrink the focal length


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded, undistorted view. alpha is the image's own transparency, None where it has none or it is opaque."""

    camera: Camera  # distortion is None
    pixels: np.ndarray  # [H, W, 3] float32 sRGB 0..1
    alpha: np.ndarray | None  # [H, W] float32 0..1
    remark: str = ""  # a sentence on what is odd about the file although it can be read


def read_photo(view: View, most_pixels: int | None = None) -> Photo:
    """The photograph of a view. Raises BridgeError: image-unreadable, image-size.

    most_pixels: a larger photograph is shrunk while it is read, its camera with it; None keeps it as it is.
    """
    pixels, alpha, remark, size = _rgb(view, most_pixels)
    camera = view.camera
    if size != (camera.width, camera.height):
        raise BridgeError(
            "image-size",
            f"View '{view.name}': the image '{view.image.name}' has {size[0]} x {size[1]} pixels, its camera expects "
            f"{camera.width} x {camera.height}.",
            "Use the original image of this camera, or correct the camera's resolution.",
        )
    camera = camera.resize(pixels.shape[1], pixels.shape[0])
    if camera.distortion is None:
        return Photo(camera, pixels, alpha, remark)
    alpha = None if alpha is None else undistort(alpha, camera)
    return Photo(undistorted_camera(camera), undistort(pixels, camera), alpha, remark)


def downscaled(photo: Photo, longer: int) -> Photo:
    """The photo with at most so many pixels on its longer side; its camera shrinks with it."""
    camera = photo.camera
    scale = longer / max(camera.width, camera.height)
    if scale >= 1:
        return photo
    size = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    alpha = None if photo.alpha is None else resize_map(photo.alpha, *size)
    return Photo(camera.resize(*size), resize_map(photo.pixels, *size), alpha, photo.remark)


def read_mask(path: Path, camera: Camera) -> np.ndarray:  # [H, W] float32 0..1
    """A matte from a file of the camera's size (undistorted like its photo). Raises BridgeError."""
    mask = read_matte(path, camera.name, camera.width, camera.height)
    return mask if camera.distortion is None else undistort(mask, camera)


def read_matte(path: Path, view: str, width: int, height: int) -> np.ndarray:  # [H, W] float32 0..1
    """A matte as it is stored. Raises BridgeError: image-unreadable, mask-size."""
    mask = decode(path, f"the mask of view '{view}'").values
    scale = np.iinfo(mask.dtype).max if mask.dtype.kind == "u" else 1.0
    if mask.ndim == 3:
        mask = mask[..., 3] if mask.shape[2] == 4 and (mask[..., 3] < scale).any() else mask[..., :3].max(-1)
    if mask.dtype.kind == "u" and mask.size and (largest := int(mask.max())) in (1, 255):
        scale = largest  # labels 0 and 1, or 8 bits in a file of 16
    if mask.shape != (height, width):
        raise BridgeError(
            "mask-size",
            f"View '{view}': the mask '{path.name}' has {mask.shape[1]} x {mask.shape[0]} pixels, its image "
            f"{width} x {height}.",
            "Export the mask at the size of the image.",
        )
    return np.divide(mask, np.float32(scale), dtype=np.float32)  # not through doubles: masks are large


def read_normals(path: Path, encoding: NormalsEncoding, where: str) -> np.ndarray:  # [h, w, 3] float32
    """A stored camera-space normal map as unit vectors, x right, y up, z to the camera; zero where there is none."""
    stored = decode(path, f"the normal map of {where}").values
    if stored.ndim != 3 or stored.shape[2] < 3:
        raise BridgeError(
            "normals-unreadable",
            f"The normal map '{path.name}' of {where} has no three channels.",
            "Store it as 16 bit RGB.",
        )
    values = stored[..., 2::-1].astype(np.float32)
    empty = (values == 0).all(-1)
    maximum = encoding.max if stored.dtype != np.uint8 or encoding.max <= 255 else 255
    normals = values / np.float32(maximum) * 2 - 1
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    empty |= (length[..., 0] < 0.5) | (length[..., 0] > 1.5)
    normals /= np.maximum(length, 1e-6)
    normals[empty] = 0
    if encoding.axes == "opencv":
        normals *= np.array([1, -1, -1], np.float32)
    return normals


def write_normals(path: Path, normals: np.ndarray) -> None:
    """Write camera-space unit normals [h, w, 3] (zero: none) as 16 bit RGB, opengl axes, max 65535."""
    empty = (normals == 0).all(-1)
    values = np.rint((np.clip(normals, -1, 1) + 1) / 2 * 65535).astype(np.uint16)
    values[empty] = 0
    write(path, values[..., ::-1])


def write(path: Path, pixels: np.ndarray) -> None:
    """Write an image (BGR order for colours) under any UTF-8 name, atomically."""
    ok, encoded = cv2.imencode(path.suffix, pixels)
    if not ok:
        raise ValueError(f"'{path.suffix}' is no image format that can be written")
    with atomic(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def undistorted_camera(camera: Camera) -> Camera:
    """The camera without distortion that shows an undistorted photograph, of the same size.

    A barrel-shaped photograph becomes larger than its frame, so the focal length shrinks (to half at most) until the
    frame shows all that it can without showing where nothing was seen: up to the nearer two of the edges' middles.
    """
    if camera.distortion is None:
        return camera
    (cx, cy), (width, height) = camera.K[:2, 2], (camera.width, camera.height)
    ends = undistort_points(np.array([[0, cy], [width, cy], [cx, 0], [cx, height]]), camera)
    left, right, top, bottom = ends[0, 0], ends[1, 0], ends[2, 1], ends[3, 1]
    grown = min((right - left) / width, (bottom - top) / height)
    if not grown > 1:  # also where the distortion cannot be undone at the edges
        return replace(camera, distortion=None)
    grown = min(grown, MOST_GROWN)
    K = np.diag([1 / grown, 1 / grown, 1.0]) @ camera.K
    K[0, 2] += width / 2 - (left + right) / 2 / grown
    K[1, 2] += height / 2 - (top + bottom) / 2 / grown
    return replace(camera, K=K, distortion=None)


def undistort(pixels: np.ndarray, camera: Camera) -> np.ndarray:
    """The photograph of a camera with distortion as undistorted_camera had taken it; zero where nothing was seen."""
    # cv2 puts the centre of the first pixel at (0, 0), we at (0.5, 0.5)
    assert camera.distortion is not None
    K, target = camera.K.copy(), undistorted_camera(camera).K.copy()
    K[:2, 2] -= 0.5
    target[:2, 2] -= 0.5
    map_x, map_y = cv2.initUndistortRectifyMap(
        K, camera.distortion.coefficients(), None, target, (camera.width, camera.height), cv2.CV_32FC1
    )
    map_x += np.float32(K[0, 1] / K[1, 1]) * (map_y - np.float32(K[1, 2]))  # OpenCV's own K has no skew
    return remap(pixels, map_x, map_y, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)


def remap(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, how: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_REPLICATE
) -> np.ndarray:
    """What an image shows at pixels x, y float32 of any shape, the first centre at 0: cv2.remap, which takes no more
    than 32766 rows or columns at once."""
    image = np.ascontiguousarray(image)
    if max(x.shape) <= LARGEST_SIDE and x.ndim == 2:
        return cv2.remap(image, x, y, how, borderMode=border)
    width = min(8192, x.size)
    rows = -(-x.size // width)
    places = [np.pad(v.ravel(), (0, rows * width - x.size), mode="edge").reshape(rows, width) for v in (x, y)]
    pieces = [
        cv2.remap(image, places[0][at : at + REMAP_ROWS], places[1][at : at + REMAP_ROWS], how, borderMode=border)
        for at in range(0, rows, REMAP_ROWS)
    ]
    found = np.concatenate(pieces).reshape(rows * width, *image.shape[2:])
    return found[: x.size].reshape(*x.shape, *image.shape[2:])


def undistort_points(pixels: np.ndarray, camera: Camera) -> np.ndarray:  # [N, 2]
    """Where pixels [N, 2] of the photograph as it is stored would lie without distortion (K as it is)."""
    if camera.distortion is None:
        return np.asarray(pixels, dtype=np.float64)
    plane = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(camera.K).T
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
    straight = cv2.undistortPoints(
        plane[:, None, :2], np.eye(3), camera.distortion.coefficients(), criteria=criteria
    ).reshape(-1, 2)
    return straight @ camera.K[:2, :2].T + camera.K[:2, 2]


def resize_map(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """Area-averaged down, bilinear up; corners map to corners."""
    shrinks = values.shape[1] >= width
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to the sRGB curve (IEC 61966-2-1), clipped to 0..1."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def _rgb(view: View, most_pixels: int | None) -> tuple[np.ndarray, np.ndarray | None, str, tuple[int, int]]:
    """Pixels in sRGB, turned as EXIF says if the camera expects that; the alpha where it says something; a remark; and
    the size before it was shrunk."""
    what = f"the image of view '{view.name}'"
    found, camera = decode(view.image, what, most_pixels), view.camera
    stored, kind, remark = found.values, found.kind, found.remark
    del found  # with the pixels as they were, once they are shrunk
    size = pillow.size_of(view.image, what) if kind == "JPEG" else stored.shape[1::-1]
    if size != (camera.width, camera.height) and size[::-1] == (camera.width, camera.height):
        turned = pillow.turned(view.image, stored, what)
        stored, size = (stored, size) if turned is stored else (turned, size[::-1])
    if stored.ndim == 2:
        stored = np.repeat(stored[..., None], 3, axis=2)
    if most_pixels and stored.shape[0] * stored.shape[1] > most_pixels:
        scale = float(np.sqrt(most_pixels / (stored.shape[0] * stored.shape[1])))
        stored = resize_map(stored, *(max(1, int(side * scale)) for side in stored.shape[1::-1]))
    maximum = np.iinfo(stored.dtype).max if stored.dtype.kind == "u" else 1
    alpha = None
    if stored.shape[2] == 4 and (stored[..., 3] < 0.999 * maximum).any():
        alpha = stored[..., 3].astype(np.float32) / np.float32(maximum)
    pixels = stored[..., 2::-1].astype(np.float32, order="C")  # and no other copy: photographs are large
    pixels /= np.float32(maximum)
    if stored.dtype.kind == "f":
        np.nan_to_num(pixels, copy=False)
    if kind in LINEAR:
        pixels = to_srgb(pixels)
    remark = f"View '{view.name}': the image '{view.image.name}' {remark}." if remark else ""
    return pixels, alpha, remark, size
