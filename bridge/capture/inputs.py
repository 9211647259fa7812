"""The first stage: a capture with its photographs and masks, read and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import BridgeError
from ..service.protocol import MINIMUM_VIEWS
from ..side_by_side import side_by_side
from . import masks
from . import record as captures
from .cameras import Camera
from .framing import head_frame
from .images import Photo, downscaled, read_normals, read_photo, resize_map, undistort
from .normal_map import NormalMap

# Pixels that are kept of a photograph. No stage looks closer: the network sees the head in 512, the colours the whole
# photograph in 1024; all of 26 photographs of 24 MP would be 7.5 GB.
LONGER_SIDE = 2048
HEAD_SIDE = 1024  # of the head in it, where a mask says how small it is
LEAST_SIDE = 32  # pixels: in less nobody sees a head
TOGETHER = 1e-3  # of the distance to what they look at: cameras that stand no further apart see no depth
# Pixels of a photograph as it is read, with and without a mask that may say how small the head is: 26 of 24 MP that
# are shrunk only afterwards take 1.6 GB, one of a gigapixel 12 GB
MOST_PIXELS, MOST_UNMASKED = 50_000_000, 4 * LONGER_SIDE**2


Stored = TypeVar("Stored", np.ndarray, np.ndarray | None)


class Unpacked(Sequence[Stored]):
    """Pictures kept as half floats, whose steps are an eighth of those of 8 bits: each is float32 anew when it is asked
    for, since 40 photographs and mattes would be 3 GB."""

    def __init__(self, packed: Sequence[Stored]) -> None:
        self._packed: Sequence[Any] = packed

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, i):  # an int gives a picture, a slice Unpacked
        if isinstance(i, slice):
            return Unpacked(self._packed[i])
        return None if self._packed[i] is None else self._packed[i].astype(np.float32)


@dataclass(frozen=True)
class Remark:
    """What is odd about the files although the run can go on."""

    code: str
    views: tuple[str, ...]
    sentence: str
    cure: str


@dataclass
class Inputs:
    """What the first two stages leave for the others. Photos and masks are smaller than the files (LONGER_SIDE), and
    each photo's camera is that of its pixels."""

    capture: captures.Capture
    photos: list[Photo]  # their pixels as half floats
    packed_masks: list[np.ndarray | None]  # [H, W] half floats, of each photo's size
    maps: list[NormalMap] = field(default_factory=list)
    provider: str = "files"
    remarks: list[Remark] = field(default_factory=list)

    @property
    def pixels(self) -> Unpacked[np.ndarray]:
        """The photographs [H, W, 3] float32 as all stages read them."""
        return Unpacked([photo.pixels for photo in self.photos])

    @property
    def given_masks(self) -> Unpacked[np.ndarray | None]:
        """The mattes [H, W] float32 0..1 that the user gave."""
        return Unpacked(self.packed_masks)

    @property
    def cameras(self) -> list[Camera]:
        return [photo.camera for photo in self.photos]

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with these views alone."""
        self.capture = replace(self.capture, views=tuple(self.capture.views[i] for i in chosen))
        self.photos = [self.photos[i] for i in chosen]
        self.packed_masks = [self.packed_masks[i] for i in chosen]
        self.maps = [self.maps[i] for i in chosen] if self.maps else []

    def place(self, cameras: Sequence[Camera]) -> None:
        """Give every view the pose of its camera, before there are maps."""
        self.pose(cameras)
        self.maps = []

    def pose(self, cameras: Sequence[Camera]) -> None:
        """Give every view the pose of its camera; its map, which is in the camera's axes, goes with it."""
        self.photos = [
            replace(photo, camera=replace(photo.camera, R=camera.R, t=camera.t))
            for photo, camera in zip(self.photos, cameras, strict=True)
        ]
        views = [
            replace(view, camera=replace(view.camera, R=camera.R, t=camera.t))
            for view, camera in zip(self.capture.views, cameras, strict=True)
        ]
        self.capture = replace(self.capture, views=tuple(views))
        self.maps = [
            replace(found, camera=replace(found.camera, R=camera.R, t=camera.t))
            for found, camera in zip(self.maps, cameras, strict=bool(self.maps))
        ]


def read_inputs(path: Path, step: Callable[[int, int], None] = lambda done, total: None) -> Inputs:
    """A capture with its photographs and masks, checked. step: told of each view. Raises BridgeError."""
    capture = captures.load(path)
    if len(capture.views) < MINIMUM_VIEWS:
        raise BridgeError(
            "too-few-views",
            f"The capture '{capture.name}' has no usable camera; a head needs at least one.",
            "Add cameras with photographs that show the head.",
        )
    if len(capture.views) > 1:
        check_rig(capture.cameras)
    inputs = Inputs(capture, [], [])
    for photo, mask in side_by_side(_read_packed, capture.views):  # each of 24 MP takes some 400 MB meanwhile
        inputs.photos.append(photo)
        inputs.packed_masks.append(mask)
        step(len(inputs.photos), len(capture.views))
    judge_masks(inputs)
    return inputs


def _read_packed(view: captures.View) -> tuple[Photo, np.ndarray | None]:
    """A view's photograph and matte as they are kept: shrunk, in half floats."""
    photo, mask = read_view(view)
    photo = downscaled(photo, _kept(photo.camera, mask))
    if mask is not None:
        mask = resize_map(mask, photo.camera.width, photo.camera.height).astype(np.float16)
    return replace(photo, pixels=photo.pixels.astype(np.float16)), mask


def read_view(view: captures.View) -> tuple[Photo, np.ndarray | None]:
    """A view's photograph and the matte that the user gave. Raises BridgeError."""
    camera = view.camera
    if min(camera.width, camera.height) < LEAST_SIDE:
        raise BridgeError(
            "image-size",
            f"View '{view.name}': an image of {camera.width} x {camera.height} pixels is too small to show a head.",
            "Use the photograph itself, not a thumbnail of it.",
        )
    photo = read_photo(view, MOST_UNMASKED if view.mask is None else MOST_PIXELS)
    return photo, masks.given(view, photo)


def judge_masks(inputs: Inputs) -> None:
    """Take what the given mattes mean and not what they say: those that cover everything are none, and where all are
    inverted they are turned over. Adds to the remarks, also what is odd about the photographs."""
    views, given = inputs.capture.views, inputs.packed_masks
    for photo, view in zip(inputs.photos, views, strict=True):
        if photo.remark:
            cure = "Copy the file again from the camera, to be sure that nothing is missing."
            inputs.remarks.append(Remark("image-cut", (view.name,), photo.remark, cure))
    known = {i: mask for i, mask in enumerate(given) if mask is not None}
    if known and all(masks.is_inverted(mask) for mask in known.values()):
        for i, mask in known.items():
            given[i] = known[i] = 1 - mask
        sentence = "All masks are inverted, white where the background is: they were taken the other way round."
        cure = "Paint the head white and the background black."
        inputs.remarks.append(Remark("mask-inverted", tuple(views[i].name for i in known), sentence, cure))
    if silent := [i for i, mask in known.items() if masks.says_nothing(mask)]:
        for i in silent:
            given[i] = None
        which = f"View '{views[silent[0]].name}': {masks.source(views[silent[0]])}"
        others = f", and so in {len(silent) - 1} other views" if len(silent) > 1 else ""
        sentence = f"{which} covers nearly everything{others}: the head is found without it."
        cure = "Give masks of the head if it is cut out badly."
        inputs.remarks.append(Remark("mask-everything", tuple(views[i].name for i in silent), sentence, cure))


def _kept(camera: Camera, mask: np.ndarray | None) -> int:
    """Pixels of a photograph's longer side that are worth keeping."""
    longer = max(camera.width, camera.height)
    (box,) = masks.boxes([mask])
    head = max(box[2] - box[0], box[3] - box[1])
    return LONGER_SIDE if np.isnan(head) else max(LONGER_SIDE, round(longer * HEAD_SIDE / head))


def check_rig(cameras: Sequence[Camera]) -> None:
    """Refuse cameras that do not look at one common place. Raises BridgeError "cameras-apart"."""
    cure = "Check the camera's rotation and its axes (a camera looks along its own -Z in Blender, +Z in OpenCV)."
    stand_apart(cameras)
    try:
        frame = head_frame(cameras)
    except ValueError:
        raise BridgeError("cameras-apart", "All cameras look in parallel, so no head can be placed.", cure) from None
    for camera in cameras:
        if (frame.center - camera.center) @ camera.forward <= 0:
            sentence = f"Camera '{camera.name}' looks away from the point that the others look at."
            raise BridgeError("cameras-apart", sentence, cure)


def stand_apart(cameras: Sequence[Camera]) -> None:
    """Refuse cameras that all stand at one place. Raises BridgeError "cameras-together"."""
    centers = np.stack([camera.center for camera in cameras])
    spread = np.linalg.norm(centers - centers.mean(0), axis=1).max()
    try:
        distance = float(np.linalg.norm(head_frame(cameras).center - centers.mean(0)))
    except ValueError:  # they look in parallel
        distance = 0.0
    if spread <= TOGETHER * max(distance, 1e-9 * np.abs(centers).max()):
        raise BridgeError(
            "cameras-together",
            f"All {len(cameras)} cameras stand at one place, so nothing tells how deep the head is.",
            "Move each camera to where its photograph was taken.",
        )


def measured_map(inputs: Inputs, i: int) -> NormalMap:
    """The stored normal map of view i. Raises BridgeError "normals-missing" and what images.read_normals raises."""
    view = inputs.capture.views[i]
    if view.normals is None:
        raise BridgeError(
            "normals-missing",
            f"View '{view.name}' names no normal map, but measured normals were asked for.",
            "Add the map to the capture, or choose the network as the source of normals.",
        )
    normals = read_normals(view.normals, inputs.capture.normals_encoding, f"view '{view.name}'")
    height, width = normals.shape[:2]
    if view.camera.distortion is not None:  # the map has the photograph's field of view, so it is bent like it
        normals = undistort(normals, view.camera.resize(width, height))
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        normals = np.where(length > 0.5, normals / np.maximum(length, 1e-6), 0).astype(np.float32)
    camera = inputs.photos[i].camera.resize(width, height)
    known = (normals != 0).any(-1)
    mask = inputs.given_masks[i]
    matte = known.astype(np.float32) if mask is None else resize_map(mask, width, height)
    # where the mask shows head but the map is silent, the normal does not count
    return NormalMap(camera, normals, matte, known.astype(np.float32))
