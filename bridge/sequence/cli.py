"""python -m bridge sequence: every frame of a performance, on one machine or on many (docs/pipeline/sequence.md)."""

from __future__ import annotations

import argparse
import functools
from dataclasses import replace
from pathlib import Path

from ..service import protocol
from ..service.terminal import Terminal, clear_errors, stoppable
from ..service.wire import Control


def main(argv: list[str]) -> int:
    """Solve every frame of a performance; what is finished is never lost. Exit code 0 if no frame failed."""
    defaults = protocol.JobSettings()
    parser = argparse.ArgumentParser(prog="python -m bridge sequence", description=main.__doc__)
    parser.add_argument("source", type=Path, help="folder of captures, one a frame; or a rig's capture with --images")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="holds cam01/0001.jpg ... or cam01.mp4 a camera")
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="masks in the same order as --images")
    parser.add_argument("--first", type=int, default=1, help="number of a video's first frame (default: 1)")
    parser.add_argument("--frames", default="", metavar="A-B", help="only these, such as 1-100 (default: all)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="so many processes of this machine (Ray)")
    parser.add_argument("--ray", default="", metavar="ADDRESS", help="a Ray cluster; every machine sees the folders")
    parser.add_argument("--resume", action="store_true", help="keep frames that are finished and unchanged")
    parser.add_argument("--dense", action="store_true", help="keep the dense head of every frame too")
    parser.add_argument(
        "--wrap", metavar="TEMPLATE", default="", help="hm08, hm08-body, ict, gnm or a file: one topology"
    )
    parser.add_argument("--key", type=int, metavar="FRAME", help="a neutral frame: who performs (default: first)")
    parser.add_argument(
        "--key-frames",
        default="1",
        metavar="auto|N|A,B",
        help="key frames: extremes are chosen too (auto, or N in all), or named beside the first (default: 1)",
    )
    parser.add_argument("--every-frame", action="store_true", help="reconstruct every frame, follow none")
    parser.add_argument("--no-smooth", action="store_true", help="leave head motion and curves as they were measured")
    parser.add_argument("--preset", choices=protocol.PRESETS, default="draft")
    parser.add_argument("--normals", choices=protocol.NORMAL_SOURCES, default=defaults.normals)
    parser.add_argument("--device", choices=protocol.DEVICES, default=defaults.device)
    parser.add_argument("--steps", type=int, help="steps of inverse rendering (default: the preset's)")
    parser.add_argument("--max-vertices", type=int, help="most vertices of a dense head (default: the preset's)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if options.workers < 0:
        parser.error("--workers must be 0 or more")
    with clear_errors() as failed, Terminal() as terminal, stoppable() as control:
        if run(options, terminal, control):
            failed.code = 1
    return failed.code


def run(options: argparse.Namespace, terminal: Terminal, control: Control) -> int:
    """How many frames failed. Raises BridgeError, Cancelled."""
    from .farm import Farm
    from .frames import chosen
    from .gather import gather
    from .keys import identity_file, wanted
    from .pace import Pace
    from .plan import Plan
    from .solve import Worker
    from .store import Store

    settings = protocol.JobSettings(
        preset=options.preset,
        normals=options.normals,
        device=options.device,
        steps=options.steps,
        max_vertices=options.max_vertices,
        seed=options.seed,
        wrap=options.wrap,
    )
    named = (options.images, options.masks)
    pictures, masks = (str(path.resolve()) if path else "" for path in named)
    plan = Plan(
        source=str(options.source.resolve()),
        output=str(options.output.resolve()),
        pictures=pictures,
        masks=masks,
        first=options.first,
        dense=options.dense,
        settings=settings,
    )
    source, store = plan.open(), Store(Path(plan.output))
    frames = chosen(source.frames, options.frames)
    store.claim()
    for remark in source.remarks:
        terminal.show(protocol.Warning("sequence", "frames-dropped", remark))
    if settings.wrap and not options.every_frame:
        number = options.key if options.key is not None else source.frames[0].number
        keys = wanted(number, options.key_frames, source.frames)

        def tell(what: str) -> None:
            terminal.show(protocol.Progress("sequence", what, 0, len(frames), 0.0, None))

        plan = replace(plan, identity=str(identity_file(plan, store, keys, control, tell)))
    todo = [frame.number for frame in frames]
    if options.resume:
        todo = [number for number in todo if not store.done(number, plan.key(source, number))]
        print(f"{len(frames) - len(todo)} of {len(frames)} frames are there already.", flush=True)
    pace = Pace(len(todo))
    failures = 0
    if todo:
        make = functools.partial(Worker, plan, options.resume)
        for outcome in Farm(options.workers, options.ray).run(make, todo, control):
            if outcome.failure is not None:
                failures += 1
                reason = outcome.failure
                terminal.show(
                    protocol.Warning("sequence", reason.code, f"Frame {outcome.number}: {reason.sentence}", reason.cure)
                )
                store.fail(reason)
            terminal.show(pace.next())
    if (gathered := gather(store, source.unit_mm, not options.no_smooth, settings.wrap)) is not None:
        print(gathered)
    print(f"Wrote {options.output}: {len(frames) - failures} frames, {failures} failed. {pace}")
    return failures
