"""The frames of a performance: a folder of captures, or one rig with pictures or a video for each camera."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ..capture import formats, images
from ..capture.record import Capture, View, load, save
from ..errors import BridgeError
from ..files import file_names, link_or_copy
from .video import VIDEOS, Video

NUMBER = re.compile(r"(\d+)\D*$")  # of a folder's name: its last digits
LEAST_VIEWS = 3  # of a frame whose other cameras have dropped it


@dataclass(frozen=True)
class Frame:
    """One instant. missing: cameras of the rig that have no picture of it."""

    number: int
    missing: tuple[str, ...] = ()


class Source(Protocol):
    """Where the frames of a run come from."""

    frames: Sequence[Frame]  # in order
    remarks: Sequence[str]  # what is odd about it, in sentences
    unit_mm: float | None  # millimetres of the world's unit

    def place(self, number: int, folder: Path) -> Path:
        """The capture of a frame; if it must be put together, then in this empty folder. Raises BridgeError."""

    def inputs(self, number: int) -> list[str]:
        """Names, sizes and dates of all files that decide what a frame looks like."""


def open_source(path: Path, pictures: Path | None = None, masks: Path | None = None, first: int = 1) -> Source:
    """The frames of a folder of captures, or with `pictures` of one rig. first: number of a video's first frame.

    Raises BridgeError "frames-none", "frames-twice", "frames-camera" and those of captures.
    """
    if pictures is not None:
        return Rig.of(path, pictures, masks, first)
    if (path / "capture.json").is_file() or path.is_file():
        raise BridgeError(
            "frames-none",
            f"'{path}' is one capture, not a folder of captures.",
            "Name the folder that holds a capture for each frame, or give the rig's pictures with --images.",
        )
    return Captures.of(path)


@dataclass
class Captures:
    """A folder of captures, one a frame; its number are the last digits of its name."""

    folders: dict[int, Path]
    remarks: Sequence[str] = ()
    frames: Sequence[Frame] = field(init=False)
    unit_mm: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.unit_mm = load(next(iter(self.folders.values()))).unit_mm
        self.frames = [Frame(number) for number in sorted(self.folders)]

    @classmethod
    def of(cls, path: Path) -> Captures:
        found: dict[int, Path] = {}
        for file in sorted(path.glob("*/capture.json")):
            if (match := NUMBER.search(file.parent.name)) is None:
                continue
            number = int(match[1])
            if number in found:
                raise BridgeError(
                    "frames-twice",
                    f"'{found[number].name}' and '{file.parent.name}' in '{path}' are both frame {number}.",
                    "Give each frame's folder a number of its own, at the end of its name.",
                )
            found[number] = file.parent
        if not found:
            raise BridgeError(
                "frames-none",
                f"'{path}' holds no folder with a capture.json and a number in its name.",
                "Name a folder of captures such as frame_0001, frame_0002, or give the rig's pictures with --images.",
            )
        return cls(found)

    def place(self, number: int, folder: Path) -> Path:
        return self.folders[number]

    def inputs(self, number: int) -> list[str]:
        folder = self.folders[number]
        text = (folder / "capture.json").read_text(encoding="utf-8")
        try:
            views = json.loads(text)["views"]
            named = [folder / view[key] for view in views for key in ("image", "mask", "normals") if view.get(key)]
        except (ValueError, KeyError, TypeError, AttributeError):
            named = []  # the loader refuses it with a sentence
        return [text, *map(dated, named)]


@dataclass(frozen=True)
class Track:
    """What one camera saw: numbered picture files, or a video whose first frame has a number."""

    camera: str
    pictures: dict[int, Path]
    video: Video | None = None
    first: int = 1

    @property
    def numbers(self) -> set[int]:
        return set(self.pictures) if self.video is None else set(range(self.first, self.first + self.video.count))


@dataclass
class Rig:
    """One calibrated rig and what each of its cameras saw: pictures/cam01/0001.jpg or pictures/cam01.mp4."""

    capture: Capture
    tracks: Sequence[Track]
    masks: Sequence[Track]
    first: int  # number of a video's first frame
    frames: Sequence[Frame] = field(init=False)
    remarks: Sequence[str] = field(init=False)
    unit_mm: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.unit_mm = self.capture.unit_mm
        self.frames, self.remarks = in_common(self.tracks)

    @classmethod
    def of(cls, rig: Path, pictures: Path, masks: Path | None, first: int) -> Rig:
        capture = load(rig)
        names = [view.name for view in capture.views]
        tracks = [track_of(pictures, name, first) for name in names]
        return cls(capture, tracks, [track_of(masks, name, first) for name in names] if masks else [], first)

    def place(self, number: int, folder: Path) -> Path:
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        views = []
        stems = file_names(view.name for view in self.capture.views)
        for i, (view, stem) in enumerate(zip(self.capture.views, stems, strict=True)):
            image = put(self.tracks[i], number, folder / "images", stem)
            if image is None:
                continue
            mask = put(self.masks[i], number, folder / "masks", stem) if self.masks else None
            views.append(View(view.camera, image, mask))
        if len(views) < min(LEAST_VIEWS, len(self.capture.views)):
            raise BridgeError(
                "frames-dropped",
                f"Only {len(views)} of {len(self.capture.views)} cameras have a picture of frame {number}.",
                "Put the missing pictures back, or leave the frame to its neighbours.",
            )
        frame = replace(self.capture, name=f"{self.capture.name} {number}", views=tuple(views), evaluation=None)
        save(frame, folder)
        return folder

    def inputs(self, number: int) -> list[str]:
        found = []
        for view in self.capture.views:
            camera = view.camera
            lens = None if camera.distortion is None else camera.distortion.coefficients().tolist()
            numbers = [camera.K.tolist(), camera.R.tolist(), camera.t.tolist(), lens, camera.width, camera.height]
            found.append(json.dumps([view.name, numbers]))
        for track in (*self.tracks, *self.masks):
            if track.video is not None:
                found.append(f"{dated(track.video.path)} {number - track.first}")
            elif number in track.pictures:
                found.append(dated(track.pictures[number]))
        return [f"{self.capture.unit_mm}", *found]


def track_of(folder: Path, camera: str, first: int) -> Track:
    """What lies in a folder for one camera. Raises BridgeError "frames-camera"."""
    for suffix in VIDEOS:
        if (file := folder / f"{camera}{suffix}").is_file():
            return Track(camera, {}, Video(file), first)
    found = {}
    readable = formats.readable()
    if (folder / camera).is_dir():
        for file in sorted((folder / camera).iterdir()):
            if file.suffix.lower() in readable and (match := NUMBER.search(file.stem)):
                found[int(match[1])] = file
    if not found:
        raise BridgeError(
            "frames-camera",
            f"'{folder}' holds no pictures of camera '{camera}'.",
            f"Put them there as {camera}/0001.jpg and so on, or as {camera}.mp4, or take the camera out of the rig.",
        )
    return Track(camera, found)


def in_common(tracks: Sequence[Track]) -> tuple[list[Frame], list[str]]:
    """The frames from the first to the last instant that all cameras cover, and what they lack, in sentences."""
    numbers = [track.numbers for track in tracks]
    first, last = max(map(min, numbers)), min(map(max, numbers))
    if first > last:
        late = tracks[int(np.argmax([min(seen) for seen in numbers]))].camera
        early = tracks[int(np.argmin([max(seen) for seen in numbers]))].camera
        raise BridgeError(
            "frames-none",
            f"Camera '{late}' begins at frame {first}, after camera '{early}' ends at frame {last}.",
            "Number the pictures of all cameras from a common start.",
        )
    remarks = []
    outside = set().union(*numbers) - set(range(first, last + 1))
    if outside:
        remarks.append(
            f"Frames {spans(outside)} are not covered by all cameras: the sequence goes from {first} to {last}."
        )
    frames = []
    for number in range(first, last + 1):
        missing = tuple(track.camera for track, seen in zip(tracks, numbers, strict=True) if number not in seen)
        frames.append(Frame(number, missing))
    for track, seen in zip(tracks, numbers, strict=True):
        if dropped := set(range(first, last + 1)) - seen:
            remarks.append(f"Camera '{track.camera}' has dropped {len(dropped)} frames: {spans(dropped)}.")
    return frames, remarks


def put(track: Track, number: int, folder: Path, stem: str) -> Path | None:
    """A camera's picture of a frame as a file in a folder; None where it has none."""
    if track.video is not None:
        pixels = track.video.read(number - track.first)
        if pixels is None:
            return None
        target = folder / f"{stem}.png"
        images.write(target, pixels)
        return target
    if number not in track.pictures:
        return None
    target = folder / f"{stem}{track.pictures[number].suffix}"
    link_or_copy(track.pictures[number], target)
    return target


def dated(path: Path) -> str:
    """A file's name, size and date: what tells an unchanged file without reading it."""
    try:
        stat = path.stat()
    except OSError:
        return f"{path.name} missing"
    return f"{path.name} {stat.st_size} {stat.st_mtime_ns}"


def spans(numbers: Iterable[int]) -> str:
    """Numbers as a reader writes them: 3, 7-9, 12."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def chosen(frames: Sequence[Frame], text: str) -> list[Frame]:
    """Those of a range "a-b", "a" or "a-b,c-d", or all for an empty text. Raises BridgeError "frames-range"."""
    if not text:
        return list(frames)
    wanted: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None:
            raise BridgeError("frames-range", f"'{text}' is no range of frames.", "Write it as 1-100 or 1-20,50.")
        wanted |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    found = [frame for frame in frames if frame.number in wanted]
    if not found:
        there = spans(frame.number for frame in frames)
        raise BridgeError("frames-range", f"There are no frames {text} here.", f"Choose from {there}.")
    return found
