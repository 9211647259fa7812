"""Seconds of a wrap on a head that bench.wrap_people has reconstructed: landmarks, model fit, all of it.

    python -m bench.wrap_speed WORK/hm08-00 [--template hm08|ict] [--preset standard]

The second of two runs counts: models and compiled code are loaded then, as they are when a head is wrapped at the end
of its own run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bridge.capture.inputs import read_inputs
from bridge.head.landmarks import Landmarker, find_faces
from bridge.head.triangulate import triangulate
from bridge.job.wrap import Head, seen_by, sure
from bridge.model.load import load_template
from bridge.model.package import LANDMARKS, need
from bridge.report.results import read_ply
from bridge.wrap.fit import fit
from bridge.wrap.regions import find_regions
from bridge.wrap.scan import Scan
from bridge.wrap.skin import looks_like_skin
from bridge.wrap.wrap import wrap


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.wrap_speed", description=__doc__.splitlines()[0])
    parser.add_argument("head", type=Path)
    parser.add_argument("--template", default="hm08")
    parser.add_argument("--preset", default="standard")
    options = parser.parse_args()
    vertices, faces = read_ply(options.head / f"{options.preset}.ply")[:2]
    inputs = read_inputs(options.head / "capture")
    head = Head(vertices, faces, inputs.cameras, inputs.pixels, 1.0)
    landmarker = Landmarker(need(LANDMARKS))
    template = load_template(options.template)
    regions = find_regions(template)
    print("| template | landmarks | model fit | both | who sees what | whole wrap |\n" + "|---" * 6 + "|")
    for _ in range(2):
        begin = time.perf_counter()
        found = triangulate(head.cameras, find_faces(landmarker, head.pictures))
        assert found is not None
        marked = time.perf_counter()
        count, color = seen_by(head)
        bare = looks_like_skin(vertices, color, count > 0, found.points[found.known])
        seen = time.perf_counter()
        scan = Scan(vertices, faces, sure(count, len(head.cameras)), found.points, found.sigma, bare)
        fit(template, regions, scan)
        fitted = time.perf_counter()
        wrap(template, scan)
        done = time.perf_counter()
        marks, model, whole = marked - begin, fitted - seen, done - fitted + seen - begin
        row = f"{marks:.2f} | {model:.2f} | {marks + model:.2f} | {seen - marked:.2f} | {whole:.1f}"
    print(f"| {options.template} | {row} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
