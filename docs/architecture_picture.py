"""python docs/architecture_picture.py: draw the house of docs/architecture.md, its rooms floor by floor, as an SVG.

The floors follow ORDER in tests/plain/test_import_rules.py from the ground up; tests/plain/test_docs_links.py compares
the two, and the file that is kept with what is drawn here.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "images" / "house.svg"

# From the roof down; within a floor from left to right a room may use those before it.
ADD_ON = (
    (("headless", "the batch's options, tasks, files"), ("batch", "its door")),
    (("operators", "one file a group of buttons"),),
    (("ui", "panel, preferences, heat map: draws, computes nothing"),),
    (("scene", "the only reader and writer of Blender's data"),),
    (("presets", "as files"), ("link", "no bpy: the bridge's process, set-up")),
)
BRIDGE = (
    (("__main__", "the table of commands"),),
    (("job", "the stages of a run, one file each"), ("sequence", "many frames"), ("training", "the network")),
    (
        ("texture", "colours"),
        ("model", "head templates"),
        ("wrap", "a template onto a head"),
        ("prior", "few photographs"),
    ),
    (("importers", "other programs"), ("calibrate", "photographs only")),
    (("check", "what is wrong with a rig"), ("refine", "small errors of its poses")),
    (("report", "quality, metrics, pictures"), ("normals", "predictors and their weights")),
    (("solve", "inverse rendering"), ("photometric", "where photographs agree")),
    (("device", "GPU memory, launches"), ("mesh", "remeshing"), ("raster", "rasterisers, gradients")),
    (("mattes", "which pixels show the head"), ("head", "where it is, upright, scale")),
    (("capture", "the capture folder: cameras, photographs, masks, maps"),),
    (
        ("errors", "sentence, cure"),
        ("files", "written whole or not"),
        ("side_by_side", "two at once"),
        ("service", "the wire, the doctor"),
    ),
)
ENGINE = {"device", "mesh", "raster", "solve", "photometric"}  # pure array functions

WIDTH, MARGIN, GAP, ROOM = 1180, 24, 8, 46
LEFT, BETWEEN = 400, 90  # width of the add-on's house, and of the street
TOP, EAVES = 108, 56
FONT = 'font-family="Helvetica, Arial, sans-serif"'
INK, PAPER, WALL, FLOOR, WARM = "#24292f", "#ffffff", "#eef1f5", "#d9e3f0", "#f6e3c5"

Floors = tuple[tuple[tuple[str, str], ...], ...]


def text(x: float, y: float, words: str, size: int, weight: str = "normal", anchor: str = "middle") -> str:
    """A line of text, as SVG."""
    return (
        f'<text x="{x:g}" y="{y:g}" {FONT} font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{INK}">{escape(words)}</text>'
    )


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none") -> str:
    """A rectangle with round corners, as SVG."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{fill}" stroke="{stroke}"/>'


def house(title: str, where: str, floors: Floors, x: float, width: float, ground: float) -> list[str]:
    """A house whose lowest floor stands on the ground: its roof, its wall, its rooms."""
    height = len(floors) * (ROOM + GAP) + GAP
    top = ground - height
    middle = x + width / 2
    drawn = [
        f'<polygon points="{x - 10:g},{top:g} {middle:g},{top - EAVES:g} {x + width + 10:g},{top:g}" fill="{FLOOR}"/>',
        text(middle, top - 9, title, 16, "bold"),
        text(middle, top - EAVES - 10, where, 12),
        box(x, top, width, height, WALL),
    ]
    for row, floor in enumerate(floors):
        y = top + GAP + row * (ROOM + GAP)
        # a room is as wide as its words need
        needs = [max(9.0 * len(name), 6.2 * len(what)) + 18 for name, what in floor]
        share = (width - GAP * (len(floor) + 1)) / sum(needs)
        left = x + GAP
        for (name, what), need in zip(floor, needs, strict=True):
            drawn.append(box(left, y, need * share, ROOM, WARM if name in ENGINE else PAPER, "#b6c2d1"))
            drawn.append(text(left + need * share / 2, y + (20 if what else 28), name, 14, "bold"))
            if what:
                drawn.append(text(left + need * share / 2, y + 37, what, 11))
            left += need * share + GAP
    return drawn


def street(left: float, right: float, y: float) -> list[str]:
    """What passes between the two programs."""
    middle = (left + right) / 2
    arrow = (
        f'<line x1="{left + 4:g}" y1="{y:g}" x2="{right - 4:g}" y2="{y:g}" stroke="{INK}" stroke-width="2" '
        'marker-start="url(#tip)" marker-end="url(#tip)"/>'
    )
    words = ("pipes:", "one JSON", "object a line")
    above = [text(middle, y - 12 - 15 * (len(words) - 1 - i), word, 12) for i, word in enumerate(words)]
    return [arrow, *above, text(middle, y + 20, "big data: files", 12)]


def picture() -> str:
    """The whole picture, as SVG."""
    ground = TOP + len(BRIDGE) * (ROOM + GAP) + GAP
    height = ground + 58
    right = MARGIN + LEFT + BETWEEN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" fill="{INK}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        *house("skullptor_blender: the add-on", "in Blender's Python", ADD_ON, MARGIN, LEFT, ground),
        *house("bridge: the solver", "a Python of its own", BRIDGE, right, WIDTH - MARGIN - right, ground),
        *street(MARGIN + LEFT, right, ground - GAP - ROOM / 2),  # from link to service, both on the ground floor
        text(
            MARGIN, ground + 28, "A room uses rooms below it, or to its left on the same floor; never the other way."
            " No two files import each other in a ring.", 12, anchor="start",
        ),
        box(MARGIN, ground + 37, 14, 12, WARM, "#b6c2d1"),
        text(MARGIN + 20, ground + 48, "the engine: pure functions on arrays, knows no jobs, files or messages", 12,
             anchor="start"),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def rooms(floors: Floors) -> tuple[str, ...]:
    """The names from the ground up, as ORDER lists them."""
    return tuple(name for floor in reversed(floors) for name, _ in floor)


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
    print(f"Wrote {TARGET.name}")
