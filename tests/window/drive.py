"""Tells one story in a real Blender window:  blender --python tests/window/drive.py -- STORY OUTPUT_FOLDER [VALUE ...]

Writes screenshots, numbers.json and verdict ("0" when all went well; quit_blender itself always exits with 0).
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import driver  # noqa: E402
import stories  # noqa: E402

NAME, OUT, *VALUES = sys.argv[sys.argv.index("--") + 1 :]
bpy.context.preferences.view.show_splash = False
window = driver.Window(Path(OUT))
window.out.mkdir(parents=True, exist_ok=True)
story = getattr(stories, NAME)(window, *VALUES)


def step() -> float | None:
    try:
        return next(story)
    except StopIteration:
        driver.log("OK")
        code = 0
    except BaseException:
        traceback.print_exc()
        driver.log("FAILED")
        code = 1
        try:
            window.shot("failed")
        except Exception:
            traceback.print_exc()
    driver.save(window)
    (window.out / "verdict").write_text(str(code))
    sys.stdout.flush()
    bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(step, first_interval=1.0, persistent=True)
