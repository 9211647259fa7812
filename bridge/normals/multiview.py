"""The multi-view network in ONNX Runtime: two passes when the head must first be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import HEAD_SHARE, HeadFrame, head_frame, rig_up
from ..capture.masks import boxes as mask_boxes
from ..capture.normal_map import NormalMap
from ..errors import Cancelled
from ..head.canonical import Canonical
from ..head.find import head_in
from ..mattes.cut_out import UNSEEN, cut_out, pieces_of
from ..side_by_side import side_by_side
from .david import Foreground
from .sessions import checked, run, session
from .warp import FARTHEST, HeadView, from_head, head_view, map_camera, quaternion, resized, to_head, turned_back

RECORD = "skullptor_small.json"
UP = np.array([0.0, 1.0, 0.0])
ALL_AROUND = 0.05  # cameras whose mean direction is shorter than this stand on no side of the head
LOW_PASS = 0.023  # of the frame: broader shapes than this are taken from the coarse run
FIRST_PASS = 128  # pixels: finding the head needs no detail
# A head that stands otherwise than its rig is seen again, upright: an up that is 20 degrees off costs 2 degrees, half a
# turn 15 to 19. What the network sees leans to what it is told, so it is asked until it agrees.
TILTED = np.radians(7.0)
MOST_TURNS = 4
LEAST_VIEWS = 3  # that show where a head is
CHUNK = 4  # views whose convolutions run at once: bounds memory with many views


class MultiViewPredictor:
    """Normals, matte, confidence and canonical coordinates of all views together (paper section 3.1).

    foreground: a model whose mattes are better than the network's own, where there is one.
    """

    def __init__(
        self, folder: Path, device: str = "auto", record: str = RECORD, foreground: Foreground | None = None
    ) -> None:
        self.record = checked(folder, record)
        files = {role: entry["file"] for role, entry in self.record["files"].items()}
        self.encoder, self.trunk, self.decoder = (
            session(folder / files[role], device) for role in ("encoder", "trunk", "decoder")
        )
        self.provider = self.trunk.get_providers()[0]
        self.name = (
            f"{self.record['name']} {self.record['files']['trunk']['sha256'][:12]} {self.record['input']} cut 3 up 2"
        )
        self.name += f" coarse {self.record['coarse']}" if self.record.get("coarse") else ""
        self.foreground = foreground
        self.name += f" {foreground.name}" if foreground else ""

    def predict(
        self,
        images: Sequence[np.ndarray],
        cameras: Sequence[Camera],
        masks: Sequence[np.ndarray | None],
        *,
        size: int = 512,
        progress: Callable[[int, int], None] = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[NormalMap]:
        if not len(images) == len(cameras) == len(masks):
            counts = f"{len(images)} images, {len(cameras)} cameras and {len(masks)} masks"
            raise ValueError(f"{counts} do not belong together; give one of each for every view.")
        if not images:
            return []
        steps = _ProgressCounter(progress, cancelled)
        taken, cameras = cameras, upright_cameras(cameras, rig_up(cameras))
        known = [m is not None and bool((m > 0.5).any()) for m in masks]
        coarse = self.record.get("coarse", 0)
        steps.total = len(images) * ((2 if sum(known) >= 2 else 4) + (2 if coarse else 0))
        given = [mask is not None for mask in masks]
        steps.total += len(images) + pieces_of(given) + (len(images) - sum(given) if self.foreground else 0)
        frame = self._frame(images, cameras, masks, known, steps)
        rig = _HeadRig.at(cameras, frame)
        if coarse:
            steps.total += 1
            rig, broad = self._run_upright(images, rig, masks, coarse, steps)
        views = rig.views
        outputs = self.run(images, views, self.record["input"], steps)
        if coarse:
            outputs = [blended(o, b) for o, b in zip(outputs, broad, strict=True)]
        maps = list(side_by_side(lambda i: _Sampled.of(outputs[i], views[i], size), range(len(views))))
        mattes = [
            resized(mask, m.target) if mask is not None else self._matte(image, m, steps)
            for image, mask, m in zip(images, masks, maps, strict=True)
        ]
        photos = list(side_by_side(lambda i: resized(images[i], maps[i].target), range(len(maps))))
        steps.did(len(maps))
        mattes = cut_out(photos, mattes, [m.target for m in maps], given, steps.piece)
        return [m.masked(matte, camera) for m, matte, camera in zip(maps, mattes, taken, strict=True)]

    def _run_upright(
        self, images, rig: _HeadRig, masks, size: int, steps: _ProgressCounter
    ) -> tuple[_HeadRig, list[dict]]:
        """The rig for a head that stands upright in it, and its run: the given one, unless the canonical head stands
        otherwise, or none is found and one is in one from another side (a rig that hangs, a head that lies)."""
        outputs = self.run(images, rig.views, size, steps)
        if len(images) < LEAST_VIEWS:
            return rig, outputs
        head = rig.head(outputs, masks, size)
        steps.piece()
        if head is None:
            for up in (-UP, *(sign * axis for axis in np.eye(3)[[0, 2]] for sign in (1, -1))):
                other, found = self._run_turned(images, rig.turned(up), size, steps)
                if (head := other.head(found, masks, size)) is not None:
                    rig, outputs = other, found
                    break
        for _ in range(MOST_TURNS):
            if head is None or head.up @ UP > np.cos(TILTED):
                break
            rig, outputs = self._run_turned(images, rig.turned(head.up), size, steps)
            head = rig.head(outputs, masks, size)
        return rig, outputs

    def _run_turned(self, images, rig: _HeadRig, size: int, steps: _ProgressCounter) -> tuple[_HeadRig, list[dict]]:
        steps.total += len(images)
        return rig, self.run(images, rig.views, size, steps)

    def _matte(self, image: np.ndarray, found: _Sampled, steps: _ProgressCounter) -> np.ndarray:  # [h, w]
        """Undecided where the head camera did not look: a head may be larger than the frame it was given."""
        matte = found.matte
        if self.foreground is not None:
            matte = self.foreground.matte(image, found.target, steps.cancelled)
            steps.did(1)
        return np.where(found.known, matte, np.float32(UNSEEN))

    def _frame(self, images, cameras, masks, known, steps) -> HeadFrame:
        """The head's sphere: from the given masks, else from the mattes of a first pass over the whole images."""
        if sum(known) >= 2:
            return head_frame(cameras, _masks_to_boxes(cameras, masks))
        if len(cameras) == 1:
            wide = _whole_image(cameras[0])
        else:
            wide = head_frame(cameras)
            wide = replace(wide, radius=wide.radius / HEAD_SHARE * 0.85)
        views = [head_view(camera, wide) for camera in cameras]
        outputs = self.run(images, views, FIRST_PASS, steps)
        heads = [view.at(FIRST_PASS) for view in views]
        found = mask_boxes([_largest_piece(o["matte"]) for o in outputs])
        if len(cameras) == 1:
            return _one_view_frame(heads[0], found[0], wide)
        better = head_frame(heads, found)
        shift = np.linalg.norm(better.center - wide.center) / wide.radius
        sane = np.isfinite(found).all(1).sum() >= 2 and 0.15 < better.radius / wide.radius < 1.6 and shift < 1.2
        return replace(better, up=wide.up) if sane else replace(wide, radius=wide.radius * 0.6)

    def run(self, images, views: Sequence[HeadView], size: int, steps: _ProgressCounter) -> list[dict[str, np.ndarray]]:
        """The network on head cameras of a size (a multiple of 16): per view normal [s, s, 3], matte, confidence [s,
        s], canonical [s, s, 3]."""
        m = len(views)
        inputs = np.stack(list(side_by_side(lambda i: to_head(images[i], views[i], size), range(m))))
        inputs[..., :3] -= 0.5
        inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        features = []
        for start in range(0, m, CHUNK):
            chunk = inputs[start : start + CHUNK]
            features.append(run(self.encoder, {"image": chunk}, steps.cancelled))
            steps.did(len(chunk))
        tokens = np.concatenate([f[3] for f in features])
        q = np.stack([quaternion(view.head.R) for view in views])
        distance = np.array([min(view.distance, FARTHEST) for view in views], np.float32)
        tokens = run(self.trunk, {"tokens": tokens, "quaternion": q, "distance": distance}, steps.cancelled)[0]
        results = []
        for start in range(0, m, CHUNK):
            half, quarter, eighth, _ = features[start // CHUNK]
            part = slice(start, start + CHUNK)
            feed = {"image": inputs[part], "half": half, "quarter": quarter, "eighth": eighth, "tokens": tokens[part]}
            normal, matte, canonical, confidence = run(self.decoder, feed, steps.cancelled)
            features[start // CHUNK] = []  # memory goes as the maps come
            for i in range(len(normal)):
                results.append(
                    {
                        "normal": normal[i].transpose(1, 2, 0),
                        "matte": matte[i, 0],
                        "canonical": canonical[i].transpose(1, 2, 0),
                        "confidence": confidence[i, 0],
                    }
                )
            steps.did(len(normal))
        return results


@dataclass(frozen=True, eq=False)
class _Sampled:
    """One view's outputs at the real camera, before it is decided what belongs to the head."""

    target: Camera
    normals: np.ndarray  # [h, w, 3] camera space
    canonical: np.ndarray  # [h, w, 3]
    matte: np.ndarray  # [h, w] 0..1
    confidence: np.ndarray  # [h, w] 0..1
    known: np.ndarray  # [h, w] bool: the head camera saw the pixel

    @classmethod
    def of(cls, output: dict[str, np.ndarray], view: HeadView, size: int) -> _Sampled:
        target = map_camera(view.real, size)
        stacked = np.concatenate(
            [output["normal"], output["canonical"], output["matte"][..., None], output["confidence"][..., None]], -1
        )
        values, known = from_head(stacked, view, target)
        matte, confidence = (values[..., k].clip(0, 1).astype(np.float32) for k in (6, 7))
        return cls(target, turned_back(values[..., :3], view), values[..., 3:6], matte * known, confidence, known)

    def masked(self, matte: np.ndarray, camera: Camera) -> NormalMap:
        """Pixels outside the matte, or that the head camera did not see, have no normal. camera: the view's, in the
        world of the capture."""
        matte = np.where((matte > 0.02) & (self.known | (matte > 0.5)), matte, 0).astype(np.float32)
        seen = (matte > 0) & self.known
        return NormalMap(
            map_camera(camera, max(matte.shape)),
            (self.normals * seen[..., None]).astype(np.float32),
            matte,
            self.confidence * seen,
            (self.canonical * seen[..., None]).astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class _HeadRig:
    """Head cameras in a world whose +Y is taken for up."""

    cameras: list[Camera]
    frame: HeadFrame
    views: list[HeadView]

    @classmethod
    def at(cls, cameras: Sequence[Camera], frame: HeadFrame) -> _HeadRig:
        return cls(list(cameras), frame, [head_view(camera, frame) for camera in cameras])

    def turned(self, up: np.ndarray) -> _HeadRig:
        """Another direction of this world is up."""
        return _HeadRig.at(
            upright_cameras(self.cameras, up),
            replace(self.frame, center=_upright_rotation(self.cameras, up) @ self.frame.center, up=UP),
        )

    def head(self, outputs: Sequence[dict[str, np.ndarray]], masks, size: int) -> Canonical | None:
        """The canonical head in this world, where it can be trusted."""
        maps = []
        for output, view, mask in zip(outputs, self.views, masks, strict=True):
            found = _Sampled.of(output, view, size)
            matte = found.matte if mask is None else resized(mask, found.target)
            maps.append(found.masked(matte, view.real))
        return head_in(maps)


def upright_cameras(cameras: Sequence[Camera], up: np.ndarray) -> list[Camera]:
    """The same cameras in a world whose +Y is up: the network was trained in such worlds, at any yaw, and is told the
    poses. Blender's worlds have +Z up, others nothing at all."""
    rotation = _upright_rotation(cameras, up)
    return [camera.transformed(1.0, rotation, np.zeros(3)) for camera in cameras]


def _upright_rotation(cameras: Sequence[Camera], up: np.ndarray) -> np.ndarray:  # [3, 3]
    """The world whose +Y is up and whose +Z points to where most cameras stand, however the given one is turned."""
    forward = np.stack([camera.forward for camera in cameras])
    level = forward - (forward @ up)[:, None] * up
    sides = (-level.mean(0), *-level, cameras[0].up - (cameras[0].up @ up) * up)  # the last: all look straight down
    toward = next((side for side in sides if np.linalg.norm(side) > ALL_AROUND), sides[-1])
    toward = toward / np.linalg.norm(toward)
    return np.stack([np.cross(up, toward), up, toward])


def blended(fine: dict[str, np.ndarray], coarse: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Broad shapes of the normals from a coarse run, where each token sees more of the head; all else from the fine
    one."""
    import cv2

    size = fine["normal"].shape[0]
    broad = cv2.resize(np.ascontiguousarray(coarse["normal"]), (size, size), interpolation=cv2.INTER_LINEAR)
    change = cv2.GaussianBlur(broad - fine["normal"], (0, 0), LOW_PASS * size)
    normal = fine["normal"] + change
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return fine | {"normal": normal / np.maximum(length, 1e-6)}


class _ProgressCounter:
    """Counts views done in both passes, and leaves through Cancelled."""

    def __init__(self, progress: Callable[[int, int], None], cancelled: Callable[[], bool]) -> None:
        self.progress, self.cancelled, self.done, self.total = progress, cancelled, 0, 0

    def check(self) -> None:
        if self.cancelled():
            raise Cancelled

    def piece(self) -> None:
        self.did(1)

    def did(self, count: int) -> None:
        self.check()
        self.done += count
        self.progress(self.done, max(self.total, self.done))


def _masks_to_boxes(cameras: Sequence[Camera], masks: Sequence[np.ndarray | None]) -> np.ndarray:  # [m, 4]
    """Boxes in each camera's pixels; a mask may have another size than the image."""
    boxes = mask_boxes(masks)
    for i, (camera, mask) in enumerate(zip(cameras, masks, strict=True)):
        if mask is not None:
            boxes[i] *= np.array([camera.width / mask.shape[1], camera.height / mask.shape[0]] * 2)
    return boxes


def _largest_piece(matte: np.ndarray) -> np.ndarray:
    """The matte's largest connected region, eroded of what is one pixel thin."""
    import cv2

    binary = cv2.morphologyEx((matte > 0.5).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(binary)
    if count < 2:
        return np.zeros_like(matte)
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return (labels == best).astype(np.float32)


def _whole_image(camera: Camera) -> HeadFrame:
    """One view says nothing about distance: any will do. The sphere fills the smaller side."""
    half = min(camera.width / camera.K[0, 0], camera.height / camera.K[1, 1]) / 2
    middle = camera.rays(np.array([[camera.width / 2, camera.height / 2]]))[0]
    return HeadFrame(camera.center + 5 * middle, 0.85 * 5 * float(np.sin(np.arctan(half))), camera.up)


def _one_view_frame(head: Camera, box: np.ndarray, wide: HeadFrame) -> HeadFrame:
    if not np.isfinite(box).all():
        return wide
    middle = head.rays(((box[:2] + box[2:]) / 2)[None])[0]
    half = max(box[2:] - box[:2]) / 2 / head.K[0, 0]
    return HeadFrame(head.center + 5 * middle, 5 * float(np.sin(np.arctan(half))), wide.up)
