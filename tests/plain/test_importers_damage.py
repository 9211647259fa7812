"""Damaged files of every format end in one sentence: 50 seeded mutations of each, ours and the samples."""

from __future__ import annotations

import json
import random
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from bridge import importers  # noqa: E402
from bridge.capture import record as captures  # noqa: E402
from bridge.capture.record import Capture, View  # noqa: E402
from bridge.errors import BridgeError  # noqa: E402
from bridge.importers import export  # noqa: E402
from bridge.importers.write import write  # noqa: E402
from tests.support import cameras, shared  # noqa: E402

MUTATIONS = 50
OWN = (
    "colmap/images.txt",
    "colmap/cameras.txt",
    "colmap-bin/images.bin",
    "colmap-bin/cameras.bin",
    "metashape/cameras.xml",
    "xmp/cam01.xmp",
    "realitycapture/c.csv",
    "transforms/transforms.json",
    "multiface/KRT",
    "idr/cameras.npz",
    "exported-colmap/images.txt",
    "exported-transforms/transforms.json",
)
SAMPLES = (
    ("colmap", "colmap/text/images.txt"),
    ("colmap", "colmap/text/cameras.txt"),
    ("colmap", "colmap/bin/images.bin"),
    ("colmap", "colmap/bin/cameras.bin"),
    ("metashape", "metashape_cameras.xml"),
    ("metashape", "photoscan12_chunk_doc.xml"),
    ("realitycapture", "realitycapture_internal_external.csv"),
    ("realitycapture", "realitycapture_xmp/cam03.xmp"),
    ("transforms", "transforms.json"),
    ("multiface", "KRT"),
    ("idr", "cameras_idr_neus_h3ds.npz"),
)
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
FORMAT_OF = {"xmp": "realitycapture"}


def damaged(data: bytes, generator: random.Random) -> bytes:
    """One of the ways in which files break: cut, noisy, patched by hand, merged wrongly."""
    kind = generator.randrange(9)
    at = generator.randrange(len(data))
    if kind == 0:  # truncated
        return data[:at]
    if kind == 1:  # a few bytes of noise
        return data[:at] + generator.randbytes(4) + data[at + 4 :]
    if kind == 2:  # a piece lost
        return data[:at] + data[at + generator.randrange(1, 40) :]
    if kind == 3:  # a block twice
        return data[:at] + data[at : at + 60] + data[at:]
    if kind == 4:  # one bit
        return data[:at] + bytes([data[at] ^ 1 << generator.randrange(8)]) + data[at + 1 :]
    numbers = [match.span() for match in NUMBER.finditer(data)]
    if kind == 5:  # two lines change places
        lines = data.split(b"\n")
        i, j = generator.randrange(len(lines)), generator.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
        return b"\n".join(lines)
    if not numbers:
        return data[: at // 2]
    (a, b), (c, d) = sorted((generator.choice(numbers), generator.choice(numbers)))
    if kind == 6:  # two fields change places
        return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]
    if kind == 7:  # no number
        return data[:a] + generator.choice([b"nan", b"-inf", b"1e999", b"-", b"x", b"", b"1 2"]) + data[b:]
    return data[:a] + generator.choice([b"0", b"-1", b"99999999999", b"1e-300", b"-7.5e12"]) + data[b:]  # a wrong one


def damaged_archive(data: bytes, generator: random.Random, folder: Path) -> bytes:
    """A member of an .npz damaged and the archive's checksum made right, so that what is inside is reached."""
    source, target = folder / "in.npz", folder / "out.npz"
    source.write_bytes(data)
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = generator.choice(sorted(members))
    members[name] = damaged(members[name], generator)
    with zipfile.ZipFile(target, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return target.read_bytes()


def torture(name: str, source: Path, file: Path, images: Path, work: Path, seed: int) -> int:
    """How many of the mutations were refused. Anything but a BridgeError of one sentence fails the test."""
    good = file.read_bytes()
    assert importers.read(name, source, images=images).views
    refused, generator = 0, random.Random(seed)
    for number in range(MUTATIONS):
        archive = file.suffix == ".npz" and number % 2
        file.write_bytes(damaged_archive(good, generator, work) if archive else damaged(good, generator))
        try:
            rig = importers.read(name, source, images=images)
            write(rig, work / "capture", replace_capture=True)
        except BridgeError as error:
            refused += 1
            check(error)
    return refused


def check(error: BridgeError) -> None:
    assert error.sentence and "\n" not in str(error) and len(error.sentence) < 400, error.sentence
    assert error.cure or error.code == "import", error.sentence


@pytest.fixture
def images(tmp_path):
    return cameras.photos(tmp_path / "images", [f"{camera.name}.png" for camera in cameras.rig()])


def own(folder: Path, images: Path, kind: str) -> Path:
    """Write our cameras in a format; returns what the importer is given."""
    rig = cameras.rig()
    folder.mkdir()
    if kind == "colmap":
        return cameras.colmap_text(folder, rig)
    if kind == "colmap-bin":
        return _binary(folder, rig)
    if kind == "metashape":
        return cameras.metashape(folder / "cameras.xml", rig, world=(0.5, np.eye(3), np.ones(3)))
    if kind == "xmp":
        return cameras.xmp(folder, rig)
    if kind == "realitycapture":
        header = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n"
        lines = "".join(f"{c.name}.png,1,2,3,10,20,30,45,0.1,0,0.01,0,0,0,0,0\n" for c in rig)
        (folder / "c.csv").write_text(header + lines)
        return folder / "c.csv"
    if kind == "multiface":
        return cameras.krt(folder / "KRT", rig)
    if kind == "idr":
        return cameras.idr(folder / "cameras.npz", rig)
    capture = Capture("c", tuple(View(camera, images / f"{camera.name}.png") for camera in rig), 140.0)
    if kind == "exported-colmap":
        return export.colmap(capture, folder)
    return export.transforms(capture, folder)


def _binary(folder: Path, rig) -> Path:
    lenses, poses = struct.pack("<Q", len(rig)), struct.pack("<Q", len(rig))
    for i, c in enumerate(rig, 1):
        lenses += struct.pack("<iiQQ4d", i, 1, c.width, c.height, c.K[0, 0], c.K[1, 1], c.K[0, 2], c.K[1, 2])
        poses += struct.pack("<i7di", i, *cameras.quaternion(c.R), *c.t, i) + f"{c.name}.png".encode() + b"\0"
        poses += struct.pack("<Q", 2) + struct.pack("<ddq", 1, 2, -1) * 2
    (folder / "cameras.bin").write_bytes(lenses)
    (folder / "images.bin").write_bytes(poses)
    return folder


@pytest.mark.parametrize("file", OWN)
def test_our_own_files(tmp_path, images, file):
    kind, name = file.split("/")
    source = own(tmp_path / kind, images, kind)
    plain = FORMAT_OF.get(kind, kind.removeprefix("exported-").removesuffix("-bin"))
    refused = torture(plain, source, tmp_path / kind / name, images, tmp_path, OWN.index(file))
    assert refused >= MUTATIONS // 4  # the others were harmless: a digit, a comment, a point


@pytest.mark.parametrize(("name", "file"), SAMPLES)
def test_the_samples(tmp_path, name, file):
    sample = shared("data", "camera_formats", *file.split("/"))
    folder = tmp_path / "sample"
    folder.mkdir()
    together = sample.parent.iterdir() if "/" in file else (sample,)
    for path in together:
        (folder / path.name).write_bytes(path.read_bytes())
    images = shared("data", "captures", "valid_wf2", "capture.json")
    images = captures.load(images).views[0].image.parent
    if file.startswith("photoscan12"):
        images = cameras.photos(tmp_path / "jpg", [f"DSC_{i:04d}.jpg" for i in (254, 255, 256)], (4928, 3264))
    elif name == "multiface":
        pixels = sorted(images.iterdir())
        images = tmp_path / "numbered"
        images.mkdir()
        for index, path in enumerate(pixels[:10]):
            (images / f"{400000 + index}.jpg").symlink_to(path)
    source = folder if name == "colmap" or sample.suffix == ".xmp" else folder / sample.name
    refused = torture(name, source, folder / sample.name, images, tmp_path, 100 + len(file))
    assert refused >= MUTATIONS // 6


@pytest.mark.parametrize("broken", ["", "no picture"])
@pytest.mark.parametrize("kind", ["colmap", "metashape", "xmp", "realitycapture", "transforms", "multiface", "idr"])
def test_a_broken_image_is_named(tmp_path, images, kind, broken):
    source = own(tmp_path / kind, images, kind)
    (images / "cam02.png").write_text(broken)
    with pytest.raises(BridgeError) as raised:
        importers.read(FORMAT_OF.get(kind, kind), source, images=images)
    check(raised.value)
    assert "cam02" in raised.value.sentence


@pytest.mark.parametrize("kind", ["colmap", "metashape", "xmp", "realitycapture", "transforms", "multiface"])
def test_a_camera_whose_image_is_not_there_is_left_out_and_named(tmp_path, images, kind):
    """idr is the exception: its cameras have no names, so that a missing image moves all others."""
    source = own(tmp_path / kind, images, kind)
    (images / "cam02.png").unlink()
    found = importers.read(FORMAT_OF.get(kind, kind), source, images=images)
    assert [view.name for view in found.views] == ["cam00", "cam01", "cam03"]
    (note,) = [note for note in found.notes if note.startswith("Left out 1 camera")]
    assert "cam02" in note
    (images / "cam03.png").unlink()
    with pytest.raises(BridgeError) as raised:  # two are too few for a head
        importers.read(FORMAT_OF.get(kind, kind), source, images=images)
    assert raised.value.code == "image-missing" and "cam02" in raised.value.sentence


def test_our_own_capture_file(tmp_path, images):
    views = tuple(View(camera, images / f"{camera.name}.png") for camera in cameras.rig())
    good = captures.save(Capture("c", views, 140.0), tmp_path).read_bytes()
    generator, refused = random.Random(5), 0
    for _ in range(4 * MUTATIONS):
        (tmp_path / "capture.json").write_bytes(damaged(good, generator))
        try:
            captures.load(tmp_path)
        except BridgeError as error:
            refused += 1
            check(error)
    assert refused > MUTATIONS
    for body in ("[]", "null", "3", '{"schema": 1, "views": [[]]}', json.dumps({"schema": 1, "views": [{"name": 3}]})):
        (tmp_path / "capture.json").write_text(body)
        with pytest.raises(BridgeError) as raised:
            captures.load(tmp_path)
        check(raised.value)
    (tmp_path / "capture.json").write_text("[" * 100_000)
    with pytest.raises(BridgeError):
        captures.load(tmp_path)
