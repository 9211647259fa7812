"""python -m bench.faults CAPTURE... [--heads FOLDER] [--markdown FILE]: faults put in, and what is said.

A fault counts as caught when the findings (errors and warnings) name exactly the cameras that were changed. Every
capture is also checked as it is, whole and in a subset: whatever is found there is a false alarm.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from bridge import capture as captures
from bridge.cameras import OPENGL, Camera
from bridge.check import INFO, inspect
from bridge.images import read_mask, read_photo
from bridge.normals import make_predictor

from . import heads

PIXELS = 40.0  # of the principal point, at 1024 pixels
DEGREES = 10.0
FOCAL = 1.2


@dataclass(frozen=True, eq=False)
class Views:
    """A capture in memory."""

    name: str
    cameras: list[Camera]
    photos: list[np.ndarray]
    mattes: list[np.ndarray]
    given: bool  # masks are the user's

    def subset(self, chosen: list[int]) -> Views:
        parts = ([values[i] for i in chosen] for values in (self.cameras, self.photos, self.mattes))
        return Views(f"{self.name} ({len(chosen)})", *parts, self.given)

    def with_camera(self, i: int, camera: Camera) -> Views:
        return replace(self, cameras=[camera if k == i else c for k, c in enumerate(self.cameras)])

    def with_photos(self, order: list[int]) -> Views:
        return replace(self, photos=[self.photos[k] for k in order], mattes=[self.mattes[k] for k in order])


# what a photograph is worth, not whose it is: told apart from faults of cameras (buddha_00060 is brighter indeed)
QUALITY = ("photo-exposure", "photo-blurred")

Fault = Callable[[Views, np.random.Generator], tuple[Views, set[int]]]


def mirrored(views: Views, rng: np.random.Generator) -> tuple[Views, set[int]]:
    i = int(rng.integers(len(views.cameras)))
    photos, mattes = list(views.photos), list(views.mattes)
    photos[i], mattes[i] = photos[i][:, ::-1].copy(), mattes[i][:, ::-1].copy()
    return replace(views, photos=photos, mattes=mattes), {i}


def flipped_axes(views: Views, rng: np.random.Generator) -> tuple[Views, set[int]]:
    """OpenGL's axes in a field for OpenCV's (y and z), or an image upside down (x and y)."""
    i = int(rng.integers(len(views.cameras)))
    signs = OPENGL if rng.random() < 0.5 else np.array([-1.0, -1, 1])
    camera = views.cameras[i]
    return views.with_camera(i, replace(camera, R=signs[:, None] * camera.R, t=signs * camera.t)), {i}


def wrong_focal(views: Views, rng: np.random.Generator) -> tuple[Views, set[int]]:
    i = int(rng.integers(len(views.cameras)))
    by = FOCAL if rng.random() < 0.5 else 1 / FOCAL
    camera = views.cameras[i]
    return views.with_camera(i, replace(camera, K=camera.K @ np.diag([by, by, 1]))), {i}


def turned(views: Views, rng: np.random.Generator) -> tuple[Views, set[int]]:
    """About a random axis through the camera."""
    i = int(rng.integers(len(views.cameras)))
    axis = rng.normal(size=3)
    R = Rotation.from_rotvec(np.radians(DEGREES) * axis / np.linalg.norm(axis)).as_matrix()
    camera = views.cameras[i]
    return views.with_camera(i, replace(camera, R=R @ camera.R, t=R @ camera.t)), {i}


def exchanged(views: Views, rng: np.random.Generator) -> tuple[Views, set[int]]:
    i, j = (int(k) for k in rng.choice(len(views.cameras), 2, replace=False))
    order = list(range(len(views.cameras)))
    order[i], order[j] = j, i
    return views.with_photos(order), {i, j}


def off_centre(views: Views, rng: np.random.Generator) -> tuple[Views, set[int]]:
    i = int(rng.integers(len(views.cameras)))
    camera, angle = views.cameras[i], rng.uniform(0, 2 * np.pi)
    K = camera.K.copy()
    K[:2, 2] += PIXELS * max(camera.width, camera.height) / 1024 * np.array([np.cos(angle), np.sin(angle)])
    return views.with_camera(i, replace(camera, K=K)), {i}


# fault -> what to do, and the codes that name it rightly
FAULTS: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "photograph mirrored": (mirrored, ("photo-mirrored",)),
    "axes flipped": (flipped_axes, ("camera-axes", "camera-rolled")),
    "focal length off by 20 %": (wrong_focal, ("camera-focal",)),
    "camera turned by 10 degrees": (turned, ("camera-turned",)),
    "two photographs exchanged": (exchanged, ("photos-exchanged",)),
    "principal point off by 40 px": (off_centre, ("camera-center",)),
}


def read(path: Path) -> Views:
    """A capture; views without a mask get the network's matte."""
    capture = captures.load(path)
    photos = [read_photo(view) for view in capture.views]
    masks = [read_mask(v.mask, v.camera) if v.mask else photo.alpha for v, photo in zip(capture.views, photos)]
    cameras, pixels = [photo.camera for photo in photos], [photo.pixels for photo in photos]
    given = all(mask is not None for mask in masks)
    if not given:
        masks = [found.matte for found in make_predictor("network").predict(pixels, cameras, masks)]
    return Views(capture.name, cameras, pixels, masks, given)


def subjects(paths: list[Path], folder: Path | None, count: int, rng: np.random.Generator) -> Iterator[Views]:
    for path in paths:
        views = read(path)
        yield views
        size = int(rng.integers(6, 9))
        yield views.subset(sorted(int(i) for i in rng.choice(len(views.cameras), size, replace=False)))
    names = sorted(p.parent for p in folder.glob("*/head.json")) if folder else []
    for k in range(count if names else 0):
        chosen = names[(7 * k + 3) % len(names)]
        yield Views(f"{chosen.name} (8)", *heads.photographs(chosen, k, 8), True)


def judge(views: Views) -> tuple[set[str], set[str], float, list[str]]:
    """Cameras named, codes, seconds, sentences; infos and the quality of a photograph do not count."""
    began = time.perf_counter()
    result = inspect(views.cameras, views.photos, views.mattes, [views.given] * len(views.cameras))
    told = [finding for finding in result.findings if finding.severity != INFO and finding.code not in QUALITY]
    seconds = time.perf_counter() - began
    return {v for f in told for v in f.views}, {f.code for f in told}, seconds, [f.sentence for f in told]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("captures", nargs="+", type=Path)
    parser.add_argument("--heads", type=Path, help="folder of textured heads to render more captures from")
    parser.add_argument("--count", type=int, default=2, help="how many of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", type=Path, help="also write the table here")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    tally = {name: [0, 0, 0] for name in FAULTS}  # tried, culprit right, cause right too
    clean, alarms, times, clean_times = 0, [], [], []
    for views in subjects(options.captures, options.heads, options.count, rng):
        named, _, seconds, sentences = judge(views)
        clean += 1
        clean_times.append(seconds)
        if named or sentences:
            alarms.append(f"{views.name}: {' '.join(sentences)}")
        print(f"{views.name:28} as it is: {seconds:5.1f} s  {' '.join(sentences) or 'nothing found'}", flush=True)
        for name, (fault, codes) in FAULTS.items():
            changed, culprits = fault(views, rng)
            named, found, seconds, sentences = judge(changed)
            times.append(seconds)
            right = named == {views.cameras[i].name for i in culprits}
            tally[name][0] += 1
            tally[name][1] += right
            tally[name][2] += right and any(code in found for code in codes)
            mark = "ok " if right else "BAD"
            wanted = ", ".join(views.cameras[i].name for i in sorted(culprits))
            print(f"  {mark} {name:30} {seconds:5.1f} s  ({wanted})  {' '.join(sentences)}", flush=True)
    lines = ["| fault | tried | culprit named | cause named too |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {n} | {right} | {cause} |" for name, (n, right, cause) in tally.items()]
    total = np.array(list(tally.values())).sum(0)
    lines.append(f"| **all** | {total[0]} | {total[1]} ({total[1] / total[0]:.0%}) | {total[2]} |")
    lines.append(f"| none (clean captures) | {clean} | {len(alarms)} false alarms | |")
    table = "\n".join(lines)
    print(f"\n{table}\n")
    for alarm in alarms:
        print(f"false alarm: {alarm}")
    print(f"seconds, median: {statistics.median(clean_times):.1f} clean, {statistics.median(times):.1f} with a fault")
    if options.markdown:
        options.markdown.write_text(table + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
