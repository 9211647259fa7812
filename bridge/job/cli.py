"""python -m bridge reconstruct | normals | warm (docs/pipeline/command-line.md)."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
from pathlib import Path

from ..capture import formats
from ..errors import BridgeError
from ..files import atomic, claim_file, claim_folder
from ..service import protocol
from ..service.terminal import Terminal, clear_errors, stoppable
from .run_folder import RunFolder
from .some_views import some_views


def job_settings(options: argparse.Namespace) -> protocol.JobSettings:
    """The settings of a job from the options of the command line."""
    return protocol.JobSettings(
        preset=options.preset,
        normals=options.normals,
        device=options.device,
        raster=options.raster,
        steps=options.steps,
        max_vertices=options.max_vertices,
        smoothness=options.smoothness,
        min_edge_mm=options.min_edge_mm,
        seed=options.seed,
        match=options.match,
        refine_cameras=options.refine_cameras,
        texture=options.texture,
        wrap=options.wrap or "",
    )


def placed(given: Path, folder: Path) -> Path:
    """The capture that was given; of a single photograph one is made in the folder. Raises BridgeError."""
    if not given.is_file() or given.suffix.lower() not in formats.readable():
        return given
    from .photo import make_capture

    make_capture([given], folder)
    return folder


def reconstruct(argv: list[str]) -> int:
    """Reconstruct a capture from the command line; returns the exit code."""
    defaults = protocol.JobSettings()
    parser = argparse.ArgumentParser(prog="python -m bridge reconstruct", description=reconstruct.__doc__)
    parser.add_argument("capture", type=Path, help="capture folder, a capture*.json in it, or a photograph")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the mesh to write, as .ply or .npz")
    parser.add_argument("--preset", choices=protocol.PRESETS, default=defaults.preset)
    parser.add_argument("--normals", choices=protocol.NORMAL_SOURCES, default=defaults.normals)
    parser.add_argument("--device", choices=protocol.DEVICES, default=defaults.device)
    parser.add_argument("--raster", choices=protocol.RASTERISERS, default=defaults.raster)
    parser.add_argument("--steps", type=int, help="steps of inverse rendering (default: the preset's)")
    parser.add_argument("--max-vertices", type=int, help="most vertices of the result (default: the preset's)")
    parser.add_argument(
        "--smoothness", type=float, help="weight of the Laplacian term (default: 0.2, with measured normals 0.05)"
    )
    parser.add_argument("--min-edge-mm", type=float, help="shortest edge to aim for, in millimetres")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--views", metavar="LIST", help="only these views: the first so many (1), or names with commas (front,left)"
    )
    parser.add_argument(
        "--match",
        action=argparse.BooleanOptionalAction,
        default=defaults.match,
        help="move the mesh to where the photographs agree (default: if the normals are predicted)",
    )
    parser.add_argument(
        "--refine-cameras",
        action=argparse.BooleanOptionalAction,
        default=defaults.refine_cameras,
        help="correct small errors of the cameras (default: where the photographs contradict them)",
    )
    parser.add_argument("--refined", type=Path, metavar="CAPTURE", help="also write the refined capture to this folder")
    parser.add_argument("--texture", type=int, metavar="SIZE", help="also bake an albedo map of so many texels a side")
    parser.add_argument(
        "--wrap",
        metavar="TEMPLATE",
        help="also lay a template on it (hm08, hm08-body, ict, gnm, a file): folder NAME-wrap",
    )
    parser.add_argument("--report", type=Path, help="also write the report as JSON here")
    parser.add_argument("--picture", type=Path, help="also write the report picture as PNG here")
    parser.add_argument("--no-cache", action="store_true", help="predict the normals again even if they are known")
    options = parser.parse_args(argv)
    if options.output.suffix.lower() not in (".ply", ".npz"):
        parser.error("the output must end in .ply or .npz")
    if options.refined and options.refine_cameras is False:
        parser.error("--refined and --no-refine-cameras exclude each other")
    with clear_errors() as failed, RunFolder() as folder:
        settings = job_settings(options)
        for target in (options.output, options.report, options.picture):
            if target:
                claim_file(target)
        if options.refined:
            claim_folder(options.refined)
        from .cache import Cache
        from .runner import JobRunner

        made = folder.path
        cache = Cache(made / "cache") if options.no_cache else Cache()
        capture = placed(options.capture, made / "capture")
        if options.views:
            capture = some_views(capture, options.views, made / "views")
        with Terminal() as terminal, stoppable() as control:
            JobRunner(cache).run(protocol.Run("cli", str(capture), str(made), settings), terminal.show, control)
        if terminal.result is None or not terminal.ok:
            return 1
        folder.keep = True  # until all of it is where it was asked for
        try:
            deliver(made, options)
        except BridgeError as error:
            head = made / f"head{options.output.suffix.lower()}"
            raise BridgeError(error.code, f"{error.sentence} The head is kept as '{head}'.", error.cure) from None
        folder.keep = False
    return failed.code


def deliver(made: Path, options: argparse.Namespace) -> None:
    """What a run made to where it was asked for. Raises BridgeError "output"."""
    _copy(made / f"head{options.output.suffix.lower()}", options.output)
    for name, target in (("report.json", options.report), ("report.png", options.picture)):
        if target:
            _copy(made / name, target)
    print(f"Wrote {options.output}")
    for name, folder in (("texture", f"{options.output.stem}_texture"), ("wrap", f"{options.output.stem}-wrap")):
        if (made / name).is_dir():
            target = options.output.with_name(folder)
            for source in sorted((made / name).iterdir()):
                _copy(source, target / source.name)
            print(f"Wrote {target}")
    if options.refined and (made / "refined").is_dir():
        from ..capture.record import load
        from ..refine import write_capture

        print(f"Wrote {write_capture(load(made / 'refined'), options.refined)}")
    elif options.refined:
        if not any(options.refined.iterdir()):
            options.refined.rmdir()  # was made before the run, to prove that it could be
        print("The cameras stay as they were given: no refined capture was written.")


def normals(argv: list[str]) -> int:
    """Predict the normals of a capture: 16-bit camera-space maps, masks and a contact sheet."""
    parser = argparse.ArgumentParser(prog="python -m bridge normals", description=normals.__doc__)
    parser.add_argument("capture", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--normals", choices=protocol.NORMAL_SOURCES, default="network")
    parser.add_argument("--device", choices=protocol.DEVICES, default="auto")
    parser.add_argument("--size", type=int, default=512, help="longer side of the maps in pixels")
    options = parser.parse_args(argv)
    from .cache import Cache
    from .runner import JobRunner

    settings = protocol.JobSettings(normals=options.normals, device=options.device, stage="normals")
    run = protocol.Run("cli", str(options.capture), str(options.output), settings)
    with Terminal() as terminal, stoppable() as control:
        JobRunner(Cache()).run(run, terminal.show, control, options.size)
    if terminal.result is None or not terminal.ok:
        return 1
    made = json.loads(Path(terminal.result.path).read_text(encoding="utf-8"))
    print(f"Wrote {len(made['views'])} normal maps to {options.output} (computed on: {made['provider']})")
    return 0


def warm(argv: list[str]) -> int:
    """Compile the solver once and keep it in the cache, so that the first head does not wait for it."""
    argparse.ArgumentParser(prog="python -m bridge warm", description=warm.__doc__).parse_args(argv)
    from .prepare import compile_solver

    def tell(share: float) -> None:
        print(f"{share:4.0%}  Preparing Skullptor", flush=True)

    print("Compiling the solver (once per machine, a minute or two on a cold cache) ...", flush=True)
    print(f"Ready after {compile_solver(tell):.1f} s.")
    return 0


def _copy(source: Path, target: Path) -> None:
    with contextlib.suppress(FileExistsError):
        target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
