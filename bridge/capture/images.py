"""Decode photographs and maps once, the same way everywhere: colour, size check, undistortion.

Images are returned as sRGB-encoded RGB float32 in 0..1, rows from the top. EXIF orientation is ignored on purpose:
the cameras of a capture describe the stored pixels (Blender and COLMAP read them the same way).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from ..errors import BridgeError
from ..files import atomic
from .cameras import Camera
from .record import NormalsEncoding, View

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe")
LINEAR_SUFFIXES = (".exr", ".hdr")
MOST_GROWN = 2.0  # times that undistorting may shrink the focal length
EXR_COLOURS = ("RGBA", "RGB", "Y")  # channel groups OpenEXR hands out


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded, undistorted view. alpha is the image's own transparency, None where it has none or it is opaque."""

    camera: Camera  # distortion is None
    pixels: np.ndarray  # [H, W, 3] float32 sRGB 0..1
    alpha: np.ndarray | None  # [H, W] float32 0..1


def read_photo(view: View) -> Photo:
    """The photograph of a view. Raises BridgeError: image-unreadable, image-size."""
    pixels, alpha = _rgb(view.image, f"view '{view.name}'")
    height, width = pixels.shape[:2]
    camera = view.camera
    if (width, height) != (camera.width, camera.height):
        raise BridgeError(
            "image-size",
            f"View '{view.name}': the image '{view.image.name}' has {width} x {height} pixels, its camera expects "
            f"{camera.width} x {camera.height}.",
            "Use the original image of this camera, or correct the camera's resolution.",
        )
    if camera.distortion is None:
        return Photo(camera, pixels, alpha)
    return Photo(
        undistorted_camera(camera), undistort(pixels, camera), None if alpha is None else undistort(alpha, camera)
    )


def downscaled(photo: Photo, longer: int) -> Photo:
    """The photo with at most so many pixels on its longer side; its camera shrinks with it."""
    camera = photo.camera
    scale = longer / max(camera.width, camera.height)
    if scale >= 1:
        return photo
    size = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    alpha = None if photo.alpha is None else resize_map(photo.alpha, *size)
    return Photo(camera.resize(*size), resize_map(photo.pixels, *size), alpha)


def read_mask(path: Path, camera: Camera) -> np.ndarray:  # [H, W] float32 0..1
    """A matte from a file of the camera's size (undistorted like its photo). Raises BridgeError."""
    mask = read_matte(path, camera.name, camera.width, camera.height)
    return mask if camera.distortion is None else undistort(mask, camera)


def read_matte(path: Path, view: str, width: int, height: int) -> np.ndarray:  # [H, W] float32 0..1
    """A matte as it is stored. Raises BridgeError: image-unreadable, mask-size."""
    mask = _decode(path, f"the mask of view '{view}'", cv2.IMREAD_UNCHANGED)
    scale = np.iinfo(mask.dtype).max if mask.dtype.kind == "u" else 1.0
    if mask.ndim == 3:
        mask = mask[..., 3] if mask.shape[2] == 4 and (mask[..., 3] < scale).any() else mask[..., :3].max(-1)
    if mask.shape != (height, width):
        raise BridgeError(
            "mask-size",
            f"View '{view}': the mask '{path.name}' has {mask.shape[1]} x {mask.shape[0]} pixels, its image "
            f"{width} x {height}.",
            "Export the mask at the size of the image.",
        )
    return (mask / scale).astype(np.float32)


def read_normals(path: Path, encoding: NormalsEncoding, where: str) -> np.ndarray:  # [h, w, 3] float32
    """A stored camera-space normal map as unit vectors, x right, y up, z to the camera; zero where there is none."""
    stored = _decode(path, f"the normal map of {where}", cv2.IMREAD_UNCHANGED)
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
    K, target = camera.K.copy(), undistorted_camera(camera).K.copy()
    K[:2, 2] -= 0.5
    target[:2, 2] -= 0.5
    map_x, map_y = cv2.initUndistortRectifyMap(
        K, camera.distortion.coefficients(), None, target, (camera.width, camera.height), cv2.CV_32FC1
    )
    map_x += np.float32(K[0, 1] / K[1, 1]) * (map_y - np.float32(K[1, 2]))  # OpenCV's own K has no skew
    return cv2.remap(pixels, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


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


def _rgb(path: Path, where: str) -> tuple[np.ndarray, np.ndarray | None]:
    if path.suffix.lower() in JPEG_SUFFIXES:
        return _jpeg(path, where), None
    stored = _decode(path, f"the image of {where}", cv2.IMREAD_UNCHANGED)
    if stored.ndim == 2:
        stored = np.repeat(stored[..., None], 3, axis=2)
    values = stored.astype(np.float32)
    if stored.dtype.kind == "u":
        values /= np.iinfo(stored.dtype).max
    alpha = values[..., 3] if values.shape[2] == 4 else None
    pixels = np.nan_to_num(values[..., 2::-1])
    if path.suffix.lower() in LINEAR_SUFFIXES:
        pixels = to_srgb(pixels)
    opaque = alpha is None or bool((alpha > 0.999).all())
    return np.ascontiguousarray(pixels), None if opaque else np.ascontiguousarray(alpha)


def _jpeg(path: Path, where: str) -> np.ndarray:
    # Pillow, because OpenCV silently fills the missing half of a truncated JPEG with grey
    try:
        with PillowImage.open(path) as image:
            return np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise _unreadable(path, f"the image of {where}", str(error)) from None


def _exr(path: Path, what: str) -> np.ndarray:  # BGR(A) or grey, float32, as OpenCV orders channels
    import OpenEXR  # its own reader: OpenCV 5 is built without one

    try:
        with OpenEXR.File(str(path)) as file:
            layers = {name: channel.pixels.astype(np.float32) for name, channel in file.channels().items()}
    except Exception as error:  # it raises whatever its C++ throws
        raise _unreadable(path, what, str(error)) from None
    name = next((name for name in EXR_COLOURS if name in layers), None)
    if name is None:
        raise _unreadable(path, what, f"it has no colour layer at its top level, only {', '.join(layers)}")
    pixels = layers[name]
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _decode(path: Path, what: str, flags: int) -> np.ndarray:
    if path.suffix.lower() == ".exr":
        return _exr(path, what)
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise _unreadable(path, what, error.strerror or str(error)) from None
    if path.suffix.lower() == ".png" and b"IEND" not in data[-64:].tobytes():
        raise _unreadable(path, what, "the file ends too early")
    image = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION) if len(data) else None
    if image is None:
        raise _unreadable(path, what, "it is truncated or no image")
    return image


def _unreadable(path: Path, what: str, why: str) -> BridgeError:
    sentence = f"'{path.name}', {what}, cannot be read: {why}."
    return BridgeError("image-unreadable", sentence, "Copy the file again from the camera or export it anew.")
