"""How long Blender takes for a solved sequence, in Python with the bpy module:

python bench/blender/playback.py OUT        (what `python -m bridge sequence` wrote)
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from skullptor_blender.batch import load_extension  # noqa: E402

ENDINGS = (".abc", ".usd", ".fbx")


def timed(what: str, action) -> None:
    began = time.perf_counter()
    action()
    print(f"{what}: {time.perf_counter() - began:.2f} s", flush=True)


def main(folder: Path) -> None:
    extension = load_extension()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    timed("import", lambda: bpy.ops.skullptor.import_performance(filepath=str(folder / "point_cache.pc2")))
    scene, ob = bpy.context.scene, bpy.context.view_layer.objects.active
    room = f"{extension.__name__}.skullptor_blender.scene"
    performance, files = (importlib.import_module(f"{room}.{name}") for name in ("performance", "performance_files"))
    first, last = performance.frames_of(ob)
    count = last - first + 1

    def play(frames) -> None:
        for frame in frames:
            scene.frame_set(frame)
            ob.evaluated_get(bpy.context.evaluated_depsgraph_get())

    timed(f"play {count} frames", lambda: play(range(first, last + 1)))
    timed("jump to each of them", lambda: play(first + 37 * i % count for i in range(count)))
    with tempfile.TemporaryDirectory() as work:
        for ending in ENDINGS:
            file = Path(work) / f"take{ending}"
            timed(ending, lambda file=file: files.export(bpy.context, ob, file, first, last))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
