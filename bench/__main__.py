"""python -m bench [--tables ...] [--reference DIR] [--captures CAPTURE ...]: how fast and how exact the engine is here.

growth    one step by views, pixels and vertices, and memory
remesh    optimiser and remeshing alone, beside the reference
solve     from the sphere to a known shape, beside the reference
presets   whole captures with measured normals: seconds, errors, soundness (needs --captures)
noise     what each loss makes of wrong normals (needs --captures)
photographs  whole runs from photographs: cost, errors, distance of points held out (needs --captures and --work)
views     every second photograph makes the mesh, the others judge it (needs the same)
relief    the same for captures of bench.relief, judged in small and in large novel views
sheets    photographs beside shaded meshes, with crops (needs the same)

--openmvs BIN_DIR sets OpenMVS beside ours in these four: InterfaceCOLMAP, DensifyPointCloud, ReconstructMesh and
RefineMesh as the user has built them. --work keeps every mesh and finds it again; delete a folder to run it again.

DIR is a checkout of Profactor/continuous-remeshing; it is handed our rasteriser, since it has none for the CPU. All
tables are Markdown; docs/lab keeps those of our machine.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from bridge.solve import warm_up

TABLES = ("growth", "remesh", "solve", "presets", "noise", "photographs", "views", "relief", "sheets")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=["growth", "remesh", "solve"])
    parser.add_argument("--reference", type=Path, metavar="DIR", help="checkout of Profactor/continuous-remeshing")
    parser.add_argument("--reference-steps", type=int, default=200, help="end the reference after so many steps")
    parser.add_argument("--reference-repeats", type=int, default=3, help="of its remeshing step")
    parser.add_argument("--vertices", type=int, nargs="+", help="sizes of the tables")
    parser.add_argument("--captures", type=Path, nargs="+", default=[], help="captures with ground truth")
    parser.add_argument("--presets", nargs="+", default=["draft", "standard", "fine"])
    parser.add_argument("--openmvs", type=Path, metavar="BIN_DIR", help="OpenMVS's programs, to stand beside ours")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where the meshes of whole runs are kept")
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    options = parser.parse_args()
    whole = set(options.tables) & {"photographs", "views", "relief", "sheets"}
    if not options.captures and ({"presets", "noise"} & set(options.tables) or whole):
        parser.error("the tables presets, noise, photographs, views, relief and sheets need --captures")
    if whole and options.work is None:
        parser.error("the tables photographs, views, relief and sheets need --work")
    reference = None
    if options.reference:
        from .reference import optimizer_class

        reference = optimizer_class(options.reference)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if whole != set(options.tables):
        print(f"kernels ready after {warm_up():.1f} s")
    from . import beside, captures, growth, held_views, noise, photographs, resolution, sheets

    pages = {
        "photographs": photographs.table,
        "views": held_views.table,
        "relief": resolution.table,
        "sheets": sheets.table,
    }

    for table in options.tables:
        if table == "growth":
            growth.table([20_000, 50_000] if options.quick else options.vertices)
        elif table == "remesh":
            sizes = options.vertices or ([10_000] if options.quick else [10_000, 50_000, 250_000, 500_000])
            beside.remesh_table(sizes, reference, options.reference_repeats)
        elif table == "solve":
            counts = options.vertices or ([10_000] if options.quick else [10_000, 50_000])
            beside.solve_table(counts, reference, options.reference_steps)
        elif table == "presets":
            captures.table(options.captures, options.presets)
        elif table in whole:
            pages[table](options.captures, options.presets, options.openmvs, options.work)
        else:
            noise.table(options.captures, options.presets[0])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
