"""python -m bench.faults [CAPTURE...] [--predicted] [--data DIR] [--markdown FILE]: faults put in, and what is said.

Without captures: those that the check's thresholds were tuned on (each whole and as a subset), and heads that they were
not, rendered on the fly. A fault counts as caught when the findings (errors and warnings) name exactly the cameras that
were changed. Every capture is also checked as it is: whatever is found there is a false alarm; and with all cameras a
little off, which is to be told as that, without naming any.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from bridge.capture import record as captures
from bridge.capture.cameras import OPENGL, Camera
from bridge.capture.images import read_mask, read_photo
from bridge.check import INFO, inspect
from bridge.normals import make_predictor

from . import heads
from .camera_noise import noisy

PIXELS = 40.0  # of the principal point, at 1024 pixels
DEGREES = 10.0
FOCAL = 1.2
SIGMAS = (0.05, 0.1, 0.25, 0.5)  # degrees and percent of the distance, about and along every axis of every camera


@dataclass(frozen=True, eq=False)
class Views:
    """A capture in memory."""

    name: str
    cameras: list[Camera]
    photos: list[np.ndarray]
    mattes: list[np.ndarray]
    given: bool  # masks are the user's

    def subset(self, chosen: list[int]) -> Views:
        photos, mattes = ([values[i] for i in chosen] for values in (self.photos, self.mattes))
        cameras = [self.cameras[i] for i in chosen]
        return Views(f"{self.name} ({len(chosen)})", cameras, photos, mattes, self.given)

    def with_camera(self, i: int, camera: Camera) -> Views:
        return replace(self, cameras=[camera if k == i else c for k, c in enumerate(self.cameras)])

    def with_photos(self, order: list[int]) -> Views:
        return replace(self, photos=[self.photos[k] for k in order], mattes=[self.mattes[k] for k in order])


TUNED = ("valid_wf2", "marble_bust", "nefertiti", "buddha_real")
# what a photograph is worth, not whose it is: does not count beside a fault, but is an alarm where nothing was changed
QUALITY = ("photo-exposure", "photo-blurred")
TRUE = {("photo-exposure", "buddha_00060")}  # it is brighter than the others indeed

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
    mattes = [mask for mask in masks if mask is not None]
    if not given:
        mattes = [found.matte for found in make_predictor("network").predict(pixels, cameras, masks)]
    return Views(capture.name, cameras, pixels, mattes, given)


def tuned(paths: list[Path], rng: np.random.Generator) -> Iterator[Views]:
    """Each capture whole, and a subset of it."""
    for path in paths:
        views = read(path)
        yield views
        size = int(rng.integers(6, 9))
        yield views.subset(sorted(int(i) for i in rng.choice(len(views.cameras), size, replace=False)))


@dataclass(frozen=True)
class Told:
    """What the check said, but for hints."""

    views: set[str]
    codes: set[str]
    alarms: list[str]  # sentences
    seconds: float


def judge(views: Views, quality: bool) -> Told:
    """quality: also what it said about a photograph's exposure and sharpness."""
    began = time.perf_counter()
    result = inspect(views.cameras, views.photos, views.mattes, [views.given] * len(views.cameras))
    told = [
        finding
        for finding in result.findings
        if finding.severity != INFO
        and (quality or finding.code not in QUALITY)
        and not {(finding.code, view) for view in finding.views} & TRUE
    ]
    seconds = time.perf_counter() - began
    return Told({v for f in told for v in f.views}, {f.code for f in told}, [f.sentence for f in told], seconds)


@dataclass
class Tally:
    """What became of one kind of captures."""

    faults: dict[str, list[int]]  # tried, culprit named, cause named too
    loose: dict[float, list[int]]  # sigma -> tried, told, with a camera named
    clean: int = 0
    alarms: list[str] = field(default_factory=list)
    clean_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def table(self) -> str:
        lines = ["| fault | tried | culprit named | cause named too |", "| --- | --- | --- | --- |"]
        lines += [f"| {name} | {n} | {right} | {cause} |" for name, (n, right, cause) in self.faults.items()]
        tried, right, cause = np.array(list(self.faults.values())).sum(0)
        lines.append(f"| **all** | {tried} | {right} ({right / max(tried, 1):.0%}) | {cause} |")
        lines.append(f"| none (clean captures) | {self.clean} | {len(self.alarms)} with false alarms | |")
        lines += ["", "| all cameras off by (degrees, percent) | tried | told so | a camera named |"]
        lines.append("| --- | --- | --- | --- |")
        lines += [f"| {sigma:g} | {n} | {so} | {named} |" for sigma, (n, so, named) in self.loose.items()]
        return "\n".join(lines)


def predicted(views: Views) -> Views:
    """With the mattes that the network finds under the cameras as they are told, wrong ones too."""
    maps = make_predictor("network").predict(views.photos, views.cameras, [None] * len(views.cameras))
    return replace(views, mattes=[found.matte for found in maps], given=False)


def examine(
    captures_: Iterable[Views], rng: np.random.Generator, masked: Callable[[Views], Views] = lambda views: views
) -> Tally:
    """masked: what gives a capture its masks, after the fault."""
    tally = Tally({name: [0, 0, 0] for name in FAULTS}, {sigma: [0, 0, 0] for sigma in SIGMAS})
    for views in captures_:
        told = judge(masked(views), quality=True)
        tally.clean += 1
        tally.clean_seconds.append(told.seconds)
        if told.alarms:
            tally.alarms.append(f"{views.name}: {' '.join(told.alarms)}")
        said = " ".join(told.alarms) or "nothing found"
        print(f"{views.name:28} as it is: {told.seconds:5.1f} s  {said}", flush=True)
        for name, (fault, codes) in FAULTS.items():
            changed, culprits = fault(views, rng)
            told = judge(masked(changed), quality=False)
            tally.seconds.append(told.seconds)
            right = told.views == {views.cameras[i].name for i in culprits}
            cause = right and any(code in told.codes for code in codes)
            tally.faults[name] = [n + more for n, more in zip(tally.faults[name], (1, right, cause))]
            mark = "ok " if right else "BAD"
            wanted = ", ".join(views.cameras[i].name for i in sorted(culprits))
            print(f"  {mark} {name:30} {told.seconds:5.1f} s  ({wanted})  {' '.join(told.alarms)}", flush=True)
        for sigma in SIGMAS:
            told = judge(masked(replace(views, cameras=noisy(views.cameras, sigma, seed=1))), quality=False)
            tally.seconds.append(told.seconds)
            new = (1, "cameras-loose" in told.codes, bool(told.views))
            tally.loose[sigma] = [n + more for n, more in zip(tally.loose[sigma], new)]
            print(f"      all off by {sigma:<19g} {told.seconds:5.1f} s  {' '.join(told.alarms)}", flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captures", nargs="*", type=Path, help="only these, instead of all below")
    parser.add_argument("--predicted", action="store_true", help="use no masks: the network finds the heads")
    beside = Path(__file__).resolve().parents[2] / "shared"
    default = Path(os.environ.get("SKULLPTOR_SHARED", beside)) / "data"
    parser.add_argument(
        "--data", type=Path, default=default, help="folder with captures/, training_heads/, ict_facekit"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    options = parser.parse_args()
    if not options.captures and not options.data.is_dir():
        parser.error(f"there is no folder {options.data}; name captures or the --data")
    rng = np.random.default_rng(options.seed)
    parts: dict[str, Iterable[Views]] = {}
    if options.captures:
        parts["as given"] = tuned(options.captures, rng)
    else:
        parts["held out"] = (Views(*rendered, given=True) for rendered in heads.held_out(options.data))
        parts["tuned on"] = tuned([options.data / "captures" / name for name in TUNED], rng)
    page = []
    for name, captures_ in parts.items():
        tally = examine(captures_, rng, predicted) if options.predicted else examine(captures_, rng)
        page.append(f"{name}:\n\n{tally.table()}\n")
        page += [f"false alarm: {alarm}" for alarm in tally.alarms]
        clean, faulty = statistics.median(tally.clean_seconds), statistics.median(tally.seconds)
        longest = max(tally.seconds)
        page.append(f"seconds, median: {clean:.1f} clean, {faulty:.1f} with a fault; at most {longest:.1f}\n")
        print("\n" + "\n".join(page[-2 - len(tally.alarms) :]), flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(page) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
