"""Agisoft: cameras.xml of Metashape and PhotoScan >= 1.3, and doc.xml of projects up to PhotoScan 1.2.

Conventions. Pose: camera/transform is camera -> chunk (4 x 4, rows), OpenCV axes; for the stored pixels, whatever
<orientation> says. chunk/transform (or the component's) with rotation, translation and scale is chunk -> world and is
applied: with it the world is in metres. In a multi-camera system a camera may have no transform and name a master: its
pose is the master's times its sensor's rotation and location (slave -> master). Pixels: the centre of the first is
(0.5, 0.5) (manual, appendix C): ours.

    new   u = W/2 + cx + x' (f + b1) + y' b2      v = H/2 + cy + y' f
          x' = x (1 + k1 r^2 .. k4 r^8) + p1 (r^2 + 2 x^2) + 2 p2 x y     so p1 is OpenCV's p2, and p2 its p1
    old   u = cx + x' fx + y' skew                v = cy + y' fy          cx, cy from the image's corner
          x' = x (1 + k1 r^2 .. k4 r^8) + p2 (r^2 + 2 x^2) + 2 p1 x y     OpenCV's order

The old order is the Lens manual's, and how the Damped Bundle Adjustment Toolbox reads such projects; the old pose and
principal point were checked on that toolbox's project sxb.psz (PhotoScan 1.2: 4019 tie points, 0.1 px). k4 goes on
with the polynomial and is not OpenCV's (lens.py). p3 and p4 have no counterpart and are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from ..capture.cameras import Camera, Distortion
from ..errors import BridgeError
from . import lens
from .pictures import Pictures
from .records import (
    Calibration,
    Rig,
    intrinsics,
    make_view,
    number,
    numbers,
    read_xml,
    refuse,
    rotation,
    skipped,
    whole,
)

METRES = 1000.0


@dataclass(frozen=True, eq=False)
class Sensor:
    """One of Metashape's lenses."""

    K: np.ndarray
    size: tuple[int, int]
    distortion: Distortion | None
    offset: np.ndarray  # [4, 4] sensor -> master sensor of a multi-camera system


@dataclass(frozen=True, eq=False)
class Placement:
    """x_world = scale * rotation @ x_chunk + offset"""

    scale: float
    rotation: np.ndarray
    offset: np.ndarray


def read(source: Path, pictures: Pictures) -> Rig:
    """The rig of Metashape's cameras.xml. Raises BridgeError."""
    if source.is_dir():
        names = ("cameras.xml", "doc.xml")
        found = sorted(path for path in source.iterdir() if path.suffix.lower() == ".xml")
        given = [source / name for name in names if source / name in found]
        source = (given or found or [source / names[0]])[0]
    root = read_xml(source)
    chunks = [chunk for chunk in root.iter("chunk") if chunk.find("cameras") is not None]
    if not chunks:
        raise refuse(f"'{source.name}'", "holds no chunk with cameras", "In Metashape: File > Export > Export Cameras.")
    chunk = max(chunks, key=lambda chunk: sum(1 for _ in _aligned(chunk)))
    notes = []
    if len(chunks) > 1:
        notes.append(f"The file holds {len(chunks)} chunks; this is '{chunk.get('label')}'.")
    sensors: dict[str, Sensor] = {}
    elements = {sensor.get("id", ""): sensor for sensor in chunk.iter("sensor")}
    placements = _placements(chunk, source.name)
    views, lost, off, measured = [], [], [], False
    poses = {camera.get("id"): camera.findtext("transform") or "" for camera in _all(chunk).iter("camera")}
    for group, element in _cameras(chunk):
        label = element.get("label") or f"id {element.get('id')}"
        where = f"camera '{label}' of '{source.name}'"
        if element.get("enabled", "true").lower() in ("false", "0"):
            off.append(label)
            continue
        own = element.findtext("transform") or ""
        master = "" if own.strip() else poses.get(element.get("master_id"), "")
        if not (own.strip() or master.strip()):
            lost.append(label)
            continue
        key = element.get("sensor_id", "")
        if key not in elements:
            raise refuse(where, f"names the sensor '{key}', which the file does not hold")
        if key not in sensors:
            sensors[key] = _sensor(elements[key], source.name)
        sensor = sensors[key]
        pose = numbers(own if own.strip() else master, (4, 4), where, "transform")
        if not own.strip():
            pose = pose @ sensor.offset
        R = rotation(pose[:3, :3].T, where)
        placement = placements.get(element.get("component_id"), placements.get(None))
        camera = Camera(label, sensor.K, R, -R @ pose[:3, 3], *sensor.size)
        if placement is not None:
            measured = True
            camera = camera.transformed(placement.scale, placement.rotation, placement.offset)
        name = f"{group}/{label}" if group else label  # where the same label is in several groups, they are folders
        calibration = Calibration(sensor.K, camera.R, camera.t, sensor.size, sensor.distortion)
        with pictures.left_out():
            views.append(make_view(pictures, name, where, calibration))
    notes += skipped(lost, "not aligned")
    if off:
        notes.append(f"Left out {len(off)} disabled cameras.")
    if not measured:
        notes.append("The chunk has no scale: the unit is unknown. Give --unit-mm if you know it.")
    return Rig(tuple(views), METRES if measured else None, tuple(notes))


def _all(chunk: Element) -> Element:
    """The element that holds the cameras and groups of a chunk; read() takes no chunk without it."""
    found = chunk.find("cameras")
    assert found is not None
    return found


def _cameras(chunk: Element) -> Iterator[tuple[str, Element]]:
    """Every camera with the label of its group, "" outside of groups."""
    for element in _all(chunk):
        if element.tag == "camera":
            yield "", element
        elif element.tag == "group":
            for camera in element.iter("camera"):
                yield (element.get("label") or ""), camera


def _aligned(chunk: Element) -> Iterator[Element]:
    return (camera for camera in _all(chunk).iter("camera") if camera.find("transform") is not None)


def _placements(chunk: Element, file: str) -> dict[str | None, Placement]:
    """The transforms into the world: of the chunk under None, of its components under their ids."""
    found: dict[str | None, Placement] = {}
    for element, key in [(chunk, None), *((c, c.get("id")) for c in chunk.iterfind("components/component"))]:
        placement = _placement(element.find("transform"), f"the {element.tag}'s transform in '{file}'")
        if placement is not None:
            found[key] = placement
    return found


def _placement(element: Element | None, where: str) -> Placement | None:
    if element is None:
        return None
    if (element.text or "").strip():  # one matrix of 16 numbers
        matrix = numbers(element.text, (4, 4), where, "its matrix")
        scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
        R, offset = matrix[:3, :3] / (scale or 1.0), matrix[:3, 3]
    elif element.find("scale") is None:
        return None  # a transform without scale only says how the chunk was turned on the screen
    else:
        scale = number(element.findtext("scale"), where, "scale")
        R = numbers(element.findtext("rotation") or "1 0 0 0 1 0 0 0 1", (3, 3), where, "rotation")
        offset = numbers(element.findtext("translation") or "0 0 0", 3, where, "translation")
    if scale <= 0:
        raise refuse(where, "must have a positive scale")
    return Placement(scale, rotation(R, where), offset)


def _sensor(element: Element, file: str) -> Sensor:
    where = f"sensor '{element.get('label') or element.get('id')}' of '{file}'"
    found = {item.get("class", "adjusted"): item for item in element.findall("calibration")}
    calibration = found.get("adjusted", found.get("initial"))
    if calibration is None:
        raise refuse(where, "has no calibration", "Align the cameras in Metashape before you export them.")
    kind = calibration.get("type") or element.get("type") or "frame"
    if kind != "frame":
        raise BridgeError(
            "camera-model",
            f"{where} is of the type {kind}; only frame cameras can be imported.",
            "In Metashape: File > Export > Convert Images or Undistort Photos, then import those.",
        )
    resolution = calibration.find("resolution")
    resolution = element.find("resolution") if resolution is None else resolution
    if resolution is None:
        raise refuse(where, "has no resolution")
    size = (
        whole(resolution.get("width"), where, "the width"),
        whole(resolution.get("height"), where, "the height"),
    )
    given = {item.tag: item.text for item in calibration if item.text and item.text.strip()}

    def value(key: str) -> float:
        return number(given.get(key, "0"), where, key)

    if any(value(key) for key in ("p3", "p4")):
        raise BridgeError(
            "camera-model",
            f"{where} has the lens coefficients p3 or p4, which cannot be imported.",
            "Optimize the cameras without p3 and p4, or undistort the photos in Metashape.",
        )
    if "f" in given:
        f = value("f")
        K = intrinsics(f + value("b1"), f, size[0] / 2 + value("cx"), size[1] / 2 + value("cy"), value("b2"))
        tangential = value("p2"), value("p1")
    elif "fx" in given and "fy" in given:
        if "cx" not in given or "cy" not in given:
            raise refuse(where, "must give cx and cy beside fx and fy")
        K = intrinsics(value("fx"), value("fy"), value("cx"), value("cy"), value("skew"))
        tangential = value("p1"), value("p2")
    else:
        raise refuse(where, "must give the focal length as f, or as fx and fy")
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        raise refuse(where, "must have a positive focal length")
    k = [value(f"k{i}") for i in (1, 2, 3, 4)]
    return Sensor(K, size, lens.polynomial(k, tangential, K, size, where), _offset(element, where))


def _offset(sensor: Element, where: str) -> np.ndarray:  # [4, 4]
    offset = np.eye(4)
    if (text := sensor.findtext("rotation") or "").strip():
        offset[:3, :3] = rotation(numbers(text, (3, 3), where, "its rotation to the master"), where)
    if (text := sensor.findtext("location") or "").strip():
        offset[:3, 3] = numbers(text, 3, where, "its location in the master")
    return offset
