"""Plays a reconstruction without NumPy or PyTorch, and misbehaves on request: the peer of the add-on's tests.

Standard library only, so it also writes its .npz (a zip of .npy) by hand.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import struct
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

from ..errors import BridgeError
from ..files import atomic, claim_folder, file_names
from . import protocol, wire

Mesh = tuple[list[tuple[float, float, float]], list[tuple[int, int, int]]]


def sphere(rings: int, center: tuple[float, float, float], radius: float) -> Mesh:
    """A closed UV sphere, counter-clockwise seen from outside."""
    segments = 2 * rings
    x0, y0, z0 = center
    points = [(x0, y0, z0 + radius)]
    for i in range(1, rings):
        polar = math.pi * i / rings
        for j in range(segments):
            turn = 2 * math.pi * j / segments
            s = radius * math.sin(polar)
            points.append((x0 + s * math.cos(turn), y0 + s * math.sin(turn), z0 + radius * math.cos(polar)))
    points.append((x0, y0, z0 - radius))
    last = len(points) - 1
    faces = []
    for j in range(segments):
        k = (j + 1) % segments
        faces.append((0, 1 + j, 1 + k))
        for i in range(rings - 2):
            a, b = 1 + i * segments, 1 + (i + 1) * segments
            faces += [(a + j, b + j, b + k), (a + j, b + k, a + k)]
        bottom = 1 + (rings - 2) * segments
        faces.append((last, bottom + k, bottom + j))
    return points, faces


def write_npz(path: Path, arrays: dict[str, tuple[str, list[Any]]]) -> None:
    """Write arrays as {name: (dtype, rows)}, atomically."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, (dtype, rows) in arrays.items():
            nested = bool(rows) and isinstance(rows[0], tuple)
            shape = (len(rows), len(rows[0])) if nested else (len(rows),)
            header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
            header += b" " * (-(len(header) + 11) % 64) + b"\n"
            flat = [value for row in rows for value in row] if nested else rows
            code = {"<f8": "d", "<f4": "f", "<i4": "i"}[dtype]
            data = struct.pack(f"<{len(flat)}{code}", *flat)
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)


def write_ply(path: Path, points: list[tuple], faces: list[tuple], view_count: list[int]) -> None:
    """A binary PLY as the real bridge's, with one attribute."""
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    header += [f"property double {axis}" for axis in "xyz"] + ["property int view_count"]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    rows = [struct.pack("<3di", *point, count) for point, count in zip(points, view_count)]
    with atomic(path) as temporary:
        polygons = [struct.pack("<B3i", 3, *face) for face in faces]
        temporary.write_bytes("\n".join(header).encode() + b"".join(rows + polygons))


def write_png(path: Path, width: int, height: int, channels: int, value: int) -> None:
    """A picture of one colour, grey (1 channel) or RGB (3), 8 bit."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    rows = (b"\0" + bytes([value]) * (width * channels)) * height
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    with atomic(path) as temporary:
        temporary.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def view_names(run: protocol.Run) -> list[str]:
    """The names of a capture's views, as its file says."""
    source = Path(run.capture)
    try:
        body = json.loads((source / "capture.json" if source.is_dir() else source).read_text(encoding="utf-8"))
    except OSError:  # tests of the wire have no capture
        return []
    return [view["name"] for view in body["views"]]


def write_normals(run: protocol.Run, output: Path) -> protocol.Result:
    """The files of a run with stage "normals": grey maps, white masks."""
    names, views = view_names(run), []
    for name, stem in zip(names, file_names(names)):
        files = {"normals": f"{stem}.png", "mask": f"{stem}_mask.png"}
        write_png(output / files["normals"], 8, 6, 3, 128)
        write_png(output / files["mask"], 8, 6, 1, 255)
        views.append({"name": name, **files, "mask_given": False, "head_pct": 100.0, "confidence": 0.5})
    write_png(output / "contact.png", 16, 8, 3, 60)
    path = output / "normals.json"
    path.write_text(json.dumps({"capture": "dummy", "provider": "dummy", "views": views}), encoding="utf-8")
    return protocol.Result(run.id, str(path), str(path), str(output / "contact.png"))


def run_job(run: protocol.Run, send: wire.Send, control: wire.Control, options: argparse.Namespace) -> None:
    """One pretended job: a sphere that grows at the point the cameras look at (or the origin)."""
    if options.fail:
        send(protocol.Error(run.id, "dummy", "The dummy was told to fail.", "Do not tell it to."))
        return
    output = Path(run.output)
    try:
        claim_folder(output)
        start = time.monotonic()
        steps = 20
        for step in range(1, steps + 1):
            if control.cancel.is_set() and not options.deaf:
                return
            if control.finish.is_set() and not options.deaf:
                break
            if step == steps // 2:
                misbehave(options)
            fraction = step / steps
            eta = (time.monotonic() - start) / fraction * (1 - fraction)
            stage = "Predicting normals" if fraction < 0.3 else "Carving the head"
            send(protocol.Progress(run.id, stage, step, steps, fraction, eta))
            if step % 4 == 0:
                points, faces = sphere(16, (0, 0, 0), 0.1 * fraction)
                preview = output / f"preview{step // 4 % 2}.npz"
                write_npz(preview, {"vertices": ("<f4", points), "faces": ("<i4", faces)})
                send(protocol.Preview(run.id, str(preview)))
            time.sleep(options.seconds / steps)
        if run.settings.stage == "normals":
            send(write_normals(run, output))
            return
        points, faces = sphere(32, (0, 0, 0), 0.1)
        result, report = output / "head.npz", output / "report.json"
        count = len(points)
        write_npz(
            result,
            {
                "vertices": ("<f8", points),
                "faces": ("<i4", faces),
                "view_count": ("<i4", [3] * count),
                "confidence": ("<f4", [0.5] * count),
                "normal_error": ("<f4", [1.0] * count),
            },
        )
        write_ply(result.with_suffix(".ply"), points, faces, [3] * count)
        views = [
            {"name": name, "normal_error_deg": 5.0 + i, "mask_iou": 0.95, "coverage_pct": 98.0, "confidence": 0.5}
            for i, name in enumerate(view_names(run))
        ]
        body = {"dummy": True, "vertices": count, "views": views}
        if run.settings.refine_cameras:
            body["refined"] = {"sentence": "3 cameras were off by 0.50 degrees."}
        report.write_text(json.dumps(body), encoding="utf-8")
        send(protocol.Warning(run.id, "dummy", "This head is a sphere: the dummy made it."))
        send(protocol.Result(run.id, str(result), str(report)))
    except BridgeError as error:
        send(protocol.Error(run.id, error.code, error.sentence, error.cure))


def misbehave(options: argparse.Namespace) -> None:
    """What a broken bridge does, as the options ask, for the add-on's tests."""
    if options.garbage:
        os.write(options.wire.fileno(), b"Traceback (most recent call last):\n")
    if options.die:
        print("dummy: dying as told", file=sys.stderr, flush=True)
        os._exit(3)
    while options.hang:
        time.sleep(0.1)


def main(argv: list[str]) -> int:
    """Run `python -m bridge dummy`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bridge dummy", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a job takes")
    parser.add_argument("--fail", action="store_true", help="end every job with an error")
    parser.add_argument("--hang", action="store_true", help="stop moving in mid-run and ignore everything")
    parser.add_argument("--garbage", action="store_true", help="write a line that is no message in mid-run")
    parser.add_argument("--die", action="store_true", help="exit with code 3 in mid-run")
    parser.add_argument("--deaf", action="store_true", help="ignore cancel and finish")
    parser.add_argument("--no-hello", action="store_true", help="never say hello")
    parser.add_argument("--protocol", type=int, default=protocol.PROTOCOL, help="the protocol number to claim")
    options = parser.parse_args(argv)
    options.wire = wire.claim_stdout()
    if options.no_hello:
        while sys.stdin.readline():
            pass
        return 0
    hello = protocol.Hello(protocol=options.protocol)

    def perform(run: protocol.Run, send: wire.Send, control: wire.Control) -> None:
        run_job(run, send, control, options)

    return wire.leave(wire.serve(perform, options.wire, hello=hello))
