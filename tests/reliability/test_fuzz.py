"""Hypothesis over everything that is read from outside: one sentence or a result, nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge import importers
from bridge.capture import images
from bridge.capture import record as captures
from bridge.capture.cameras import Camera
from bridge.capture.record import View
from bridge.errors import BridgeError
from bridge.service import protocol as p
from tests.support import ROOT, cameras

from . import ledger

CASES = 500
LIMIT_MB = 600  # that reading may add to the memory of this process: the system refuses more
SLOW = settings(
    max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)

numbers = st.one_of(st.floats(), st.integers(-(10**30), 10**30), st.none(), st.text(max_size=5), st.booleans())
anything = st.recursive(
    numbers, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)
paths = st.one_of(
    st.sampled_from(["a.png", "../secret.png", "/etc/passwd", "images/../../secret.png", "", ".", "a\0b", "C:\\a.png"]),
    st.text(max_size=20),
)


@contextlib.contextmanager
def fenced(*allowed: Path):
    """Within, no memory beyond the limit is to be had, and files that are opened, made, moved or removed outside the
    given folders and the program's own are listed."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    _fence.folders = (*map(Path.resolve, allowed), *OWN)
    _fence.escapes = []
    resource.setrlimit(resource.RLIMIT_AS, (size + (LIMIT_MB << 20), before[1]))
    try:
        yield _fence.escapes
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        _fence.folders = None


class _Fence:
    """An audit hook cannot be taken off, so there is one for all."""

    EVENTS = ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.copyfile")
    folders: tuple[Path, ...] | None = None
    escapes: list[str] = []

    def __call__(self, event: str, arguments: tuple) -> None:
        if self.folders is None or event not in self.EVENTS or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        path = Path(os.path.realpath(os.fsdecode(arguments[0])))
        if not any(path.is_relative_to(folder) for folder in self.folders):
            self.escapes.append(f"{event}: {path}")


_fence = _Fence()
sys.addaudithook(_fence)
# what the program and its libraries are made of
OWN = tuple(Path(p).resolve() for p in (ROOT, sys.prefix, sys.base_prefix, "/proc", "/dev", "/usr", "/etc/ssl"))


def body():
    return {
        "schema": 1, "name": "c", "unit_mm": 1.0,
        "views": [{"name": "v", "image": "a.png", "mask": None, "normals": None, "width": 64, "height": 48,
                   "K": [[80, 0, 32], [0, 80, 24], [0, 0, 1]], "R": np.eye(3).tolist(), "t": [0, 0, 1],
                   "distortion": None}],
    }  # fmt: skip


@st.composite
def captures_json(draw):
    """A capture with one to three of its values replaced by anything."""
    made = body()
    for _ in range(draw(st.integers(1, 3))):
        where = made["views"][0] if draw(st.booleans()) and isinstance(made["views"], list) else made
        if not isinstance(where, dict):
            continue
        key = draw(st.sampled_from([*where, "evaluation", "upright", "extra"]))
        where[key] = draw(paths if key in ("image", "mask", "normals") else anything)
    return made


def test_captures():
    row = ledger.row("captures with any value in any field, any path")
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "capture")
        cameras.photos(root, ["a.png"])
        cameras.photos(Path(place), ["secret.png"])

        @SLOW
        @given(captures_json())
        def load(made):
            (root / "capture.json").write_text(json.dumps(made))
            try:
                found = captures.load(root)
            except BridgeError as error:
                row.case("\n" not in str(error))
                return
            files = [f for view in found.views for f in (view.image, view.mask, view.normals) if f]
            row.case(all(f.is_relative_to(root.resolve()) for f in files), str(files))

        with fenced(root) as outside:
            load()
    row.measured = "one sentence or a capture; no file outside its folder opened"
    assert not row.escapes and not outside, (row.escapes, outside[:5])


def test_messages():
    row = ledger.row("lines of the protocol")
    kinds = [kind.__name__.lower() for kind in (p.Run, p.Hello, p.Error, p.Progress, p.Done, p.Result, p.Cancel)]

    fields = st.dictionaries(st.sampled_from(["id", "settings", "ok", "capture", "output", "path"]), anything)
    typed = st.tuples(st.sampled_from(kinds), fields).map(lambda t: json.dumps({"type": t[0], **t[1]}))
    garbled = st.binary().map(lambda data: data.decode("utf-8", "replace"))

    @SLOW
    @given(st.one_of(st.text(), garbled, anything.map(json.dumps), typed))
    def decode(line):
        try:
            p.decode(line)
            row.case(True)
        except p.ProtocolError as error:
            row.case("\n" not in str(error))

    with fenced() as outside:
        decode()
    row.measured = "a message or one sentence; no file opened"
    assert not row.escapes and not outside, outside[:5]


def test_images():
    row = ledger.row("image files: any bytes behind any format's mark, and good files damaged")
    camera = Camera("v", np.array([[80.0, 0, 32], [0, 80, 24], [0, 0, 1]]), np.eye(3), np.zeros(3), 64, 48)
    marks = [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"v/1\x01", b"#?RADIANCE\n", b"BM", b"8BPS",
             b"DDS ", b"RIFF\x10\0\0\0WEBP", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif", b"SDPX", b""]  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        good = []
        for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp", ".tga", ".avif"):
            cameras.photos(Path(place), [f"good{suffix}"])
            good.append((suffix, Path(place, f"good{suffix}").read_bytes()))
        damaged = st.tuples(st.sampled_from(good), st.integers(0, 4000), st.binary(max_size=8)).map(
            lambda t: (t[0][0], t[0][1][: t[1] % len(t[0][1])] + t[2] + t[0][1][t[1] % len(t[0][1]) + len(t[2]) :])
        )
        any_bytes = st.tuples(st.sampled_from(marks), st.binary(max_size=300)).map(lambda t: (".png", t[0] + t[1]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        @SLOW
        @given(st.one_of(damaged, any_bytes))
        def read(case):
            suffix, data = case
            path = Path(place, f"case{suffix}")
            path.write_bytes(data)
            try:
                photo = images.read_photo(View(camera, path))
                row.case(photo.pixels.shape == (48, 64, 3))
            except BridgeError as error:
                row.case("\n" not in str(error), str(error))

        with fenced(Path(place)) as outside:
            read()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    row.measured = f"a picture or one sentence; {grown:.0f} MB more memory at most, {LIMIT_MB} MB allowed"
    assert not row.escapes and not outside, (row.escapes, outside[:5])
    assert grown < LIMIT_MB


def test_calibrations():
    row = ledger.row("calibration files of five formats, damaged")
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        rig = cameras.rig()
        cameras.photos(root / "images", [f"{camera.name}.png" for camera in rig])
        files = {
            "colmap": cameras.colmap_text(root / "model", rig) / "images.txt",
            "metashape": cameras.metashape(root / "cameras.xml", rig),
            "realitycapture": next(cameras.xmp(root / "xmp", rig).glob("*.xmp")),
            "multiface": cameras.krt(root / "KRT", rig),
            "idr": cameras.idr(root / "cameras.npz", rig),
        }
        good = {name: path.read_bytes() for name, path in files.items()}
        inside = set(root.rglob("*"))

        @SLOW
        @given(st.sampled_from(sorted(files)), st.integers(0, 10**6), st.binary(max_size=12), st.integers(0, 40))
        def read(name, at, put, cut):
            data = good[name]
            at %= len(data)
            files[name].write_bytes(data[:at] + put + data[at + cut :])
            source = files[name].parent if name in ("colmap", "realitycapture") else files[name]
            try:
                found = importers.read(name, source, images=root / "images")
                row.case(all(view.image.is_relative_to(root) for view in found.views))
            except BridgeError as error:
                row.case("\n" not in str(error) and bool(error.cure), str(error))
            finally:
                files[name].write_bytes(data)

        with fenced(root) as outside:
            read()
        row.case(set(root.rglob("*")) == inside, "files were made")
    row.measured = "a rig or one sentence; no file outside the folder opened or made"
    assert not row.escapes and not outside, (row.escapes, outside[:5])
