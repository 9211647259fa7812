"""Hands and eyes inside a real Blender window: mouse, keys, screenshots, waiting, and a watch on the main thread.

Loaded by drive.py inside Blender. A story is a generator: what it yields is how many seconds Blender has for itself, so
that its own loop, redraws and events run between the steps.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

Steps = Iterator[float]
START = time.monotonic()
PROFILE = "bl_ext.user_default.skullptor_blender"


class Window:
    """Everything a story needs. numbers: what it measured, written as JSON at its end."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.numbers: dict = {"blender": bpy.app.version_string, "python": sys.version.split()[0]}
        self.clicks: list[str] = []
        self.keys: list[str] = []

    # --- what is there

    def module(self, name: str):
        return sys.modules[f"{PROFILE}.skullptor_blender.{name}"]

    def area(self, kind: str = "VIEW_3D", region: str = "WINDOW"):
        """(window, area, region): in the newest window that has such an area."""
        for window in reversed(bpy.context.window_manager.windows):
            for area in window.screen.areas:
                if area.type == kind:
                    return window, area, next(r for r in area.regions if r.type == region)
        raise LookupError(f"no {kind} in any window")

    def override(self, kind: str = "VIEW_3D", region: str = "WINDOW"):
        window, area, found = self.area(kind, region)
        return bpy.context.temp_override(window=window, area=area, region=found)

    @property
    def scene(self):
        return bpy.context.window_manager.windows[0].scene

    # --- hands: X11 events, as from a mouse and a keyboard

    def _x(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], check=True, timeout=20)

    def screen(self, window, x: float, y: float) -> tuple[int, int]:
        """Blender counts from the window's bottom left, X11 from the screen's top left."""
        height = bpy.context.window_manager.windows[0].height
        return int(window.x + x), int(height - (window.y + y))

    def hover(self, x: int, y: int) -> Steps:
        self._x("mousemove", str(x), str(y))
        yield 0.25  # Blender has to see it

    def press(self, x: int, y: int, what: str) -> Steps:
        yield from self.hover(x, y)
        self.clicks.append(what)
        log("click", len(self.clicks), what)
        self._x("click", "1")
        yield 0.25

    def drag(self, places: list[tuple[int, int]]) -> Steps:
        """A stroke with the left button held."""
        yield from self.hover(*places[0])
        self._x("mousedown", "1")
        yield 0.1
        for x, y in places[1:]:
            self._x("mousemove", str(x), str(y))
            yield 0.1
        self._x("mouseup", "1")
        yield 0.5

    def key(self, name: str) -> Steps:
        self.keys.append(name)
        self._x("key", name)
        yield 0.3

    def type(self, text: str) -> Steps:
        self.keys.append("(text)")
        self._x("type", "--delay", "12", text)
        yield 0.3

    def under_mouse(self, kind: str, region: str) -> str:
        """The operator or property of the button under the mouse, by Blender's own Copy Python Command."""
        window, area, found = self.area(kind, region)
        manager = bpy.context.window_manager
        manager.clipboard = ""
        with bpy.context.temp_override(window=window, area=area, region=found):
            for copy in (bpy.ops.ui.copy_python_command_button, bpy.ops.ui.copy_data_path_button):
                if copy.poll():
                    try:
                        copy()
                    except RuntimeError:
                        continue
                    if manager.clipboard:
                        return manager.clipboard
        return ""

    def find(self, wanted: str, kind: str = "VIEW_3D", region: str = "UI", columns=(0.3, 0.7)) -> Steps:
        """Move the mouse down a region until the wanted button is under it; self.found is its place on the screen."""
        window, _, place = self.area(kind, region)
        for share in columns:
            for y in range(place.height - 12, 8, -9):
                at = self.screen(window, place.x + place.width * share, place.y + y)
                self._x("mousemove", *map(str, at))
                yield 0.08
                if wanted in self.under_mouse(kind, region):
                    self.found = at
                    return
        raise LookupError(f"no button '{wanted}' in the {region} of {kind}")

    def click(self, wanted: str, kind: str = "VIEW_3D", region: str = "UI", columns=(0.3, 0.7)) -> Steps:
        yield from self.find(wanted, kind, region, columns)
        yield from self.press(*self.found, wanted)

    def open_tab(self, name: str = "Skullptor") -> Steps:
        """N, then the tab: its place is found by trying, and then clicked once for the count."""
        window, area, view = self.area()
        yield from self.hover(*self.screen(window, view.width * 0.3, view.height * 0.5))
        if not area.spaces.active.show_region_ui:
            yield from self.key("n")
            yield 0.7
        window, _, place = self.area(region="UI")
        before = place.active_panel_category
        if before == name:
            return
        for y in range(place.height - 20, 20, -12):
            at = self.screen(window, place.x + place.width - 12, place.y + y)
            self._x("mousemove", *map(str, at))
            yield 0.1
            self._x("click", "1")
            yield 0.2
            if place.active_panel_category == name:
                with contextlib.suppress(TypeError):  # that tab is gone by now
                    place.active_panel_category = before
                yield 0.3
                yield from self.press(*at, f"tab {name}")
                yield 0.5
                if place.active_panel_category != name:
                    raise LookupError(f"the tab {name} does not open")
                return
        raise LookupError(f"no tab {name}")

    def bring_into_view(self) -> None:
        """Without a window manager a second window may open partly beside the screen."""
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", "File View|File Browser|Preferences"],
            capture_output=True,
            text=True,
        )
        for identifier in found.stdout.split():
            self._x("windowmove", identifier, "0", "48")

    # --- eyes

    def shot(self, name: str) -> None:
        """A picture of the screen: Blender's own screenshot is black under software GL."""
        subprocess.run(["import", "-window", "root", "-depth", "8", str(self.out / f"{name}.png")], check=True)
        log("shot", name)

    def wait(self, condition: Callable[[], bool], what: str, limit: float = 240.0, look: float = 0.05) -> Steps:
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > limit:
                raise TimeoutError(what)
            yield look
        log(f"waited {time.monotonic() - began:.2f} s for {what}")

    def frame_head(self, point, distance: float = 0.85, turn: float = -0.5) -> None:
        """Stand in front of the rig, a little to its side."""
        from mathutils import Euler

        region_3d = self.area()[1].spaces.active.region_3d
        first = min((ob for ob in self.scene.objects if ob.type == "CAMERA"), key=lambda ob: ob.name)
        region_3d.view_perspective = "PERSP"
        region_3d.view_location, region_3d.view_distance = point, distance
        region_3d.view_rotation = Euler((0.0, 0.0, turn)).to_quaternion() @ first.matrix_world.to_quaternion()


class Watch:
    """How long Blender's main thread was away, and how much of that the add-on took.

    A timer beats every 10 ms: a gap between two beats is a pause of the window, whatever made it. The add-on's own
    functions on the main thread (the operator's steps, the preview's drawing, the panels) are timed from inside, on the
    wall clock and in processor time of this thread, which other programs on a busy machine do not lengthen.
    """

    def __init__(self, window: Window) -> None:
        self.beats: list[float] = []
        self.own: dict[str, list[tuple[float, float, float]]] = {}  # name -> (when, wall, processor)
        self._window = window
        bpy.app.timers.register(self._beat, persistent=True)

    def _beat(self) -> float:
        self.beats.append(time.monotonic())
        return 0.01

    def wrap(self, owner, name: str, label: str) -> None:
        function = getattr(owner, name)

        def timed(*arguments):
            wall, processor = time.monotonic(), time.thread_time()
            try:
                return function(*arguments)
            finally:
                now = time.monotonic()
                self.own.setdefault(label, []).append((now, now - wall, time.thread_time() - processor))

        # Blender passes as many arguments as the function's code says it takes
        same = {
            0: lambda: timed(),
            2: lambda self, context: timed(self, context),
            3: lambda self, context, event: timed(self, context, event),
        }
        setattr(owner, name, same[function.__code__.co_argcount])

    def addon(self) -> None:
        """Time all that the add-on does on the main thread while a head is made."""
        module = self._window.module
        self.wrap(module("operators.reconstruct").SKULLPTOR_OT_reconstruct_head, "modal", "operator")
        self.wrap(module("operators.reconstruct").SKULLPTOR_OT_reconstruct_head, "invoke", "button pressed")
        self.wrap(module("ui.preview"), "_draw", "drawing the preview")
        for cls in module("ui.panels").CLASSES:
            if hasattr(cls, "draw"):
                self.wrap(cls, "draw", "panels")

    def clear(self) -> None:
        self.beats.clear()
        self.own.clear()

    def read(self) -> dict:
        """Figures in milliseconds since the last clear()."""
        gaps = [1e3 * (b - a) for a, b in zip(self.beats, self.beats[1:])]
        figures: dict = {}
        if gaps:
            ordered = sorted(gaps)
            figures["window"] = {
                "beats": len(gaps),
                "median": round(statistics.median(gaps), 1),
                "p99": round(ordered[int(len(gaps) * 0.99)], 1),
                "longest": round(ordered[-1], 1),
            }
        for label, times in self.own.items():
            figures[label] = {
                "calls": len(times),
                "longest": round(1e3 * max(wall for _, wall, _ in times), 1),
                "longest_cpu": round(1e3 * max(cpu for _, _, cpu in times), 1),
                "sum_cpu": round(1e3 * sum(cpu for _, _, cpu in times), 1),
            }
        return figures


def log(*words) -> None:
    print(f"DRIVE {time.monotonic() - START:6.2f}s", *words, flush=True)


def save(window: Window) -> None:
    body = window.numbers | {"clicks": window.clicks, "keys": window.keys}
    (window.out / "numbers.json").write_text(json.dumps(body, indent=1))
