"""Stage and command: the photographs as maps on a mesh's UVs.

The stage belongs to a run that was asked for a texture; `python -m bridge texture` gives one to any mesh of a capture.
"""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..capture.record import load
from ..errors import BridgeError
from ..service.reporter import Reporter
from ..service.terminal import Terminal, clear_errors, stoppable
from ..texture.settings import SIZES, TextureSettings
from .cache import Cache
from .record import Job, Tools

FOLDER = "texture"  # inside a run's output


def texture(job: Job, tools: Tools) -> None:
    """The finished head, unwrapped and textured, beside the run's other files."""
    from ..texture.texture import Target
    from ..texture.texture import texture as make
    from ..texture.uv_mesh import UvMesh
    from .texture_cache import kept, key

    assert job.settings.texture is not None
    report, mesh = tools.report, job.mesh
    bare = UvMesh(mesh.vertices, mesh.faces, np.empty((0, 2)), np.zeros_like(mesh.faces))
    masks = [target.mask for target in job.targets]
    # the photographs in their full size, in the poses that the run found
    views = [
        replace(view, camera=replace(view.camera, R=photo.camera.R, t=photo.camera.t))
        for view, photo in zip(job.inputs.capture.views, job.inputs.photos)
    ]
    target = Target.before("head", bare, job.inputs.cameras)
    if job.prior is not None:  # few cameras: the head itself knows where its mirror side is
        target = replace(target, up=job.prior.fitted.pose.rotation[:, 1], front=job.prior.fitted.pose.rotation[:, 2])
    settings, share = TextureSettings(size=job.settings.texture), _percents(report)
    folder = job.output / FOLDER
    with kept(tools.cache, key(target, views, masks, settings), folder) as there:
        if not there:
            make(target, views, masks, settings, folder, share=share, check=report.check)


def _percents(report: Reporter) -> Callable[[float], None]:
    return lambda done: report.step(round(100 * done), 100)


def main(argv: list[str]) -> int:
    """Texture a mesh from a capture's photographs: UVs where it has none, albedo, detail maps."""
    defaults = TextureSettings()
    parser = argparse.ArgumentParser(prog="python -m bridge texture", description=main.__doc__)
    parser.add_argument("mesh", type=Path, help="PLY (UVs are made) or OBJ (its UVs are used), in the capture's world")
    parser.add_argument("--capture", type=Path, required=True, help="capture folder, or a capture*.json in it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--size", type=int, default=defaults.size, help=f"texels of a side, such as {SIZES}")
    parser.add_argument("--unwrap", action="store_true", help="make UVs even if the mesh has some")
    parser.add_argument("--frontal", type=float, default=defaults.frontal, help="0 to 1: how strictly from the front")
    parser.add_argument(
        "--silhouette", type=float, default=defaults.silhouette, help="0 to 1: how far from silhouettes and rims"
    )
    parser.add_argument("--back-faces", action="store_true", help="colour what shows only its back")
    parser.add_argument("--no-equalise", action="store_true", help="keep each photograph's brightness and tint")
    parser.add_argument("--no-fill", action="store_true", help="leave what no photograph shows black")
    parser.add_argument("--no-align", action="store_true", help="do not move details onto each other")
    parser.add_argument("--vignetting", action="store_true", help="estimate how photographs darken to their corners")
    parser.add_argument("--delight", action="store_true", help="take the light out of the colours")
    parser.add_argument("--detail-from", type=Path, metavar="HEAD", help="dense head for normals and displacement")
    parser.add_argument(
        "--displacement-over",
        choices=("mesh", "subdivision"),
        default="mesh",
        help="what displacement starts from: the mesh as it is, or as Catmull and Clark subdivide it",
    )
    parser.add_argument("--extras", action="store_true", help="occlusion and curvature as well (with --detail-from)")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=defaults.bits, help="of the albedo's PNG")
    parser.add_argument("--no-cache", action="store_true", help="bake again what was baked before")
    parser.add_argument("--without", nargs="+", default=[], metavar="VIEW", help="photographs to leave out")
    options = parser.parse_args(argv)
    with clear_errors() as failed, Terminal() as terminal, stoppable() as control:
        from ..texture.detail import DenseHead
        from ..texture.files import REPORT, read_mesh
        from ..texture.texture import Target
        from ..texture.texture import texture as make
        from .texture_cache import kept, key

        settings = TextureSettings(
            frontal=options.frontal,
            silhouette=options.silhouette,
            back_faces=options.back_faces,
            equalise=not options.no_equalise,
            fill=not options.no_fill,
            size=options.size,
            excluded=tuple(options.without),
            align=not options.no_align,
            vignetting=options.vignetting,
            delight=options.delight,
            extras=options.extras,
            subdivided=options.displacement_over == "subdivision",
            bits=options.bits,
        )
        capture = load(options.capture)
        mesh = read_mesh(options.mesh)
        if options.unwrap:
            mesh = replace(mesh, uv=np.empty((0, 2)))
        if options.mesh.suffix.lower() == ".obj" and not len(mesh.uv) and not options.unwrap:
            sentence = f"The mesh '{options.mesh.name}' has no UVs."
            raise BridgeError("uv-none", sentence, "Unwrap it, or let --unwrap make UVs for it.")
        detail = options.detail_from
        dense = None if detail is None else DenseHead(detail.name, read_mesh(detail).mesh)
        reporter = Reporter(uuid.uuid4().hex, terminal.show, control, {"Texturing": 1.0})
        reporter.begin("Texturing")
        target, masks = Target.before(options.mesh.name, mesh, capture.cameras), [None] * len(capture.views)
        share, check = _percents(reporter), reporter.check
        cache = None if options.no_cache else Cache()
        with kept(cache, key(target, capture.views, masks, settings, dense), options.output) as there:
            if not there:
                make(
                    target, capture.views, masks, settings, options.output, detail_from=dense, share=share, check=check
                )
        reporter.end()
        seen = json.loads((options.output / REPORT).read_text(encoding="utf-8"))["seen_pct"]
        print(f"Wrote {options.output} ({seen:.1f} % of the map are seen by a photograph)")
    return failed.code
