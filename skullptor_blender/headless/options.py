"""The batch's command line."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import bpy

from .trouble import Trouble

KEYWORDS = (
    "preset", "normals", "device", "max_vertices", "steps", "smoothness", "seed", "refine_cameras",
    "image_folder", "mask_folder", "normals_folder", "bridge_python",
)  # fmt: skip
FOLDERS = (
    "source",
    "images",
    "photos",
    "capture_folder",
    "image_folder",
    "mask_folder",
    "normals_folder",
    "bridge_python",
    "folder",
    "solved",
)
TASKS = {
    "reconstruct": "a head mesh (the default)",
    "normals": "only the normals and masks, into the folder of --maps",
    "wrap": "a head mesh, where the scene has none yet, and --template laid on it",
    "check": "only say what is wrong with the cameras",
    "cameras": "only make the cameras of --import or --photos",
    "performance": "one template that follows the head through the scene's frames, or those of --frame-start and"
    " --frame-end",
}
MOST_FRAMES = 100_000


def parser(program: str = "batch.py") -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=program, description="Reconstruct the head that the scene's cameras show.", allow_abbrev=False
    )
    tasks = "; ".join(f"{name}: {what}" for name, what in TASKS.items())
    p.add_argument("--task", choices=TASKS, default="reconstruct", help=tasks)
    p.add_argument("--output", type=Path, metavar="OUT.blend", help="where the scene with the result is saved")
    p.add_argument("--ply", type=Path, metavar="HEAD.ply", help="the mesh as PLY, with per-vertex attributes")
    p.add_argument("--maps", type=Path, metavar="DIR", help="folder for normal maps, masks and their contact sheet")
    p.add_argument("--report", type=Path, metavar="R.json", help="numbers of the run, or the findings of the check")
    p.add_argument("--picture", type=Path, metavar="R.png", help="photographs, normals, result, error in one picture")
    p.add_argument("--scene", metavar="NAME", help="a scene of the file (default: the active one)")
    frames = p.add_argument_group(
        "frames", "of moving cameras and image sequences; files get the frame's number, at # or before their ending"
    )
    frames.add_argument("--frame", type=int, help="one frame (default: the scene's current one)")
    frames.add_argument("--frames", type=parse_frames, metavar="LIST", help="several, such as 1-10,20 or 1-100x5")
    frames.add_argument("--frame-start", type=int, metavar="N", help="first frame of a range")
    frames.add_argument("--frame-end", type=int, metavar="N", help="last frame of a range")
    frames.add_argument("--stop-on-error", action="store_true", help="do not go on with the next frame after an error")
    sources = p.add_argument_group("cameras from elsewhere (default: those in the scene)")
    sources.add_argument("--import", dest="source", metavar="FILE", help="a capture, or another program's cameras")
    sources.add_argument("--format", metavar="NAME", help="which program wrote it (default: told by the file)")
    sources.add_argument("--images", metavar="DIR", help="the photographs of the imported cameras")
    sources.add_argument(
        "--photos", metavar="DIR", help="a folder of photographs whose cameras are to be found out, or one photograph"
    )
    sources.add_argument("--views", metavar="LIST", help="only these cameras: the first so many, or names with commas")
    sources.add_argument("--capture-folder", metavar="DIR", help="where the imported photographs are kept")
    sources.add_argument("--front", metavar="NAME", help="the photograph that shows the face from the front")
    sources.add_argument("--keep-world", action="store_true", help="do not turn imported cameras upright")
    p.add_argument(
        "--texture", choices=("1024", "2048", "4096", "8192"), metavar="SIZE",
        help="also bake the photographs into maps of 1024 to 8192 texels a side; with --ply in a folder beside it too",
    )  # fmt: skip
    performance = p.add_argument_group("performance")
    performance.add_argument("--folder", metavar="DIR", help="where captures and solved frames are kept, to go on from")
    performance.add_argument("--key", type=int, metavar="FRAME", help="a neutral frame (default: the first)")
    performance.add_argument(
        "--solved", metavar="DIR", help="what `python -m bridge sequence` wrote: nothing is solved"
    )
    template = p.add_argument_group("template, of the tasks wrap and performance")
    template.add_argument(
        "--template", default="hm08", metavar="NAME", help="hm08, hm08-body, ict, gnm, a file or a mesh of the scene"
    )
    template.add_argument(
        "--export", type=Path, nargs="+", metavar="FILE",
        help="USD (.usd, .usdc, .usda) or FBX (.fbx); of a performance Alembic (.abc), of --task wrap glTF (.glb) too",
    )  # fmt: skip
    template.add_argument("--density", choices=("1", "4"), default="1", help="4: each face of the template as four")
    template.add_argument("--rigid", default="", metavar="NAMES", help="regions that keep their shape, with commas")
    template.add_argument("--outside", action="store_true", help="hats, helmets and hair are the head too and pull it")
    template.add_argument("--armature", action="store_true", help="bones for neck, head, jaw and eyes")
    template.add_argument("--relief", action="store_true", help="a Multires modifier with the dense head's relief")
    settings = p.add_argument_group("settings (default: those stored in the scene)")
    settings.add_argument("--preset", choices=("draft", "standard", "fine"))
    settings.add_argument("--normals", choices=("network", "david", "measured"))
    settings.add_argument("--device", choices=("auto", "cpu", "cuda"))
    settings.add_argument("--max-vertices", type=_number(int, 500, 5_000_000), metavar="N")
    settings.add_argument("--steps", type=_number(int, 1, 100_000), metavar="N")
    settings.add_argument("--smoothness", type=_number(float, 0.0, 10.0), metavar="X")
    settings.add_argument("--seed", type=_number(int, 0, 2**31 - 1), metavar="N")
    settings.add_argument(
        "--refine-cameras",
        action=argparse.BooleanOptionalAction,
        help="correct small errors of the cameras first; the scene's stay as they are",
    )
    settings.add_argument("--image-folder", metavar="DIR", help="photographs named as the cameras")
    settings.add_argument("--mask-folder", metavar="DIR", help="masks named as the cameras")
    settings.add_argument("--normals-folder", metavar="DIR", help="measured normal maps named as the cameras")
    settings.add_argument("--bridge-python", metavar="PYTHON", help="the engine's Python")
    return p


def parse_frames(text: str) -> list[int]:
    """ "1-10,20" or "1-100x5" -> the frames in rising order, each once."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(-?\d+)(?:\s*-\s*(-?\d+)(?:\s*x\s*(\d+))?)?\s*", part)
        if not match:
            raise argparse.ArgumentTypeError(f"'{part.strip()}' is no frame and no range such as 1-10")
        first = int(match[1])
        last, step = int(match[2] or first), int(match[3] or 1)
        if last < first or step < 1 or (last - first) // step >= MOST_FRAMES:
            raise argparse.ArgumentTypeError(f"'{part.strip()}' is no range of frames")
        found.update(range(first, last + 1, step))
    return sorted(found)


def frames_of(options: argparse.Namespace) -> list[int]:
    """The frames asked for; empty for the scene's current one, or the one of --frame. Raises Trouble."""
    frames = set(options.frames or ())
    first, last = options.frame_start, options.frame_end
    if first is not None or last is not None:
        scene = bpy.context.scene
        first, last = scene.frame_start if first is None else first, scene.frame_end if last is None else last
        if not first <= last < first + MOST_FRAMES:
            raise Trouble(f"There are no frames from {first} to {last}.")
        frames.update(range(first, last + 1))
    return sorted(frames)


def numbered(path: Path | None, frame: int | None, digits: int = 4) -> Path | None:
    """The file of one frame: its number takes the place of #, or stands before the ending."""
    if path is None or frame is None:
        return path
    if marks := re.findall(r"#+", path.name):
        return path.with_name(path.name.replace(marks[-1], f"{frame:0{len(marks[-1])}d}"))
    return path.with_name(f"{path.stem}_{frame:0{digits}d}{path.suffix}")


def _number(kind: type, low: float, high: float):
    def number(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is no number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} does not lie between {low} and {high}")
        return value

    return number


def from_the_shell(options: argparse.Namespace) -> None:
    """Paths on the command line are relative to the folder it was typed in; // is Blender's way to say: to the file."""
    for name in FOLDERS:
        text = getattr(options, name)
        if not text or (name == "bridge_python" and Path(text).name == text):  # one on the PATH
            continue
        setattr(options, name, bpy.path.abspath(text) if text.startswith("//") else str(Path.cwd() / text))


def check_usage(options: argparse.Namespace) -> None:
    if options.task == "cameras" and not (options.source or options.photos):
        raise Trouble("There are no cameras to make: give --import or --photos.")
    if options.texture and options.task != "reconstruct":
        raise Trouble("--texture belongs to --task reconstruct: it needs a head.")
    if options.task != "performance" and (options.folder or options.solved or options.key is not None):
        raise Trouble("--folder, --solved and --key belong to --task performance.")
    if options.export and options.task not in ("performance", "wrap"):
        raise Trouble("--export belongs to --task performance and --task wrap.")
    wrap_only = (options.density != "1", options.rigid, options.outside, options.armature, options.relief)
    if options.task != "wrap" and any(wrap_only):
        raise Trouble("--density, --rigid, --outside, --armature and --relief belong to --task wrap.")
    if options.task == "wrap" and options.export and (options.frames or options.frame_start is not None):
        raise Trouble("--export of --task wrap is for one frame: give --frame.")
    if options.task == "performance" and (options.frames or options.frame is not None):
        raise Trouble("--task performance goes through all frames from --frame-start to --frame-end.")
    if options.source and options.photos:
        raise Trouble("Give either --import or --photos, not both.")
