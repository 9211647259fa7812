"""What the panel does, without a window: the same operators, messages line by line, exit code 0, 1 or 2.

    blender -b scene.blend -P skullptor_blender/batch.py -- --output out.blend [options]
    blender -b scene.blend --command reconstruct_head --output out.blend [options]      (add-on installed)
    python skullptor_blender/batch.py scene.blend -- --output out.blend [options]       (Python with the bpy module)

One frame, or many with --frames: a head for each, or a PLY for each. Exit codes: 0 done; 1 a clear error was printed
(of one frame or of all; without frames no file was written); 2 bad usage. Top level: standard library only, so that
this file can be run from anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "skullptor_extension"  # when it is no installed extension
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
)
COMMAND = "reconstruct_head"
TASKS = {
    "reconstruct": "a head mesh (the default)",
    "normals": "only the normals and masks, into the folder of --maps",
    "check": "only say what is wrong with the cameras",
    "cameras": "only make the cameras of --import or --photos",
}
MOST_FRAMES = 100_000


class Trouble(Exception):
    """One sentence; exit code 1."""


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
    sources.add_argument("--photos", metavar="DIR", help="a folder of photographs whose cameras are to be found out")
    sources.add_argument("--capture-folder", metavar="DIR", help="where the imported photographs are kept")
    sources.add_argument("--front", metavar="NAME", help="the photograph that shows the face from the front")
    sources.add_argument("--keep-world", action="store_true", help="do not turn imported cameras upright")
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
        import bpy

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


def load_extension():
    """The add-on's package: the one that Blender has enabled, else this repository's root under a name of its own."""
    if __package__ and __package__.count(".") >= 1:  # imported as part of it
        return sys.modules[__package__.rpartition(".")[0]]
    import bpy

    for name in bpy.context.preferences.addons.keys():  # noqa: SIM118 - a bpy collection
        if name.rpartition(".")[2] == "skullptor_blender" and name in sys.modules:
            return sys.modules[name]
    if PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACKAGE, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = module
        spec.loader.exec_module(module)
        module.register()
    return sys.modules[PACKAGE]


def from_the_shell(options: argparse.Namespace) -> None:
    """Paths on the command line are relative to the folder it was typed in; // is Blender's way to say: to the file."""
    import bpy

    for name in FOLDERS:
        text = getattr(options, name)
        if not text or (name == "bridge_python" and Path(text).name == text):  # one on the PATH
            continue
        setattr(options, name, bpy.path.abspath(text) if text.startswith("//") else str(Path.cwd() / text))


def check_target(path: Path) -> None:
    """Before minutes of work: can the file be written where it is to go?"""
    probe = path.with_name(f".{path.name}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise Trouble(
            f"'{path}' cannot be written: {reason}. Choose a folder you may write to, on a disk with free space."
        ) from None


def execute(options: argparse.Namespace) -> None:
    """Do the task and write what was asked for. Raises Trouble."""
    import bpy

    load_extension()
    from_the_shell(options)
    frames = frames_of(options)
    digits = max(4, *(len(str(frame)) for frame in frames)) if frames else 4
    check_usage(options)
    for frame in frames or [None]:
        for name in ("ply", "report", "picture"):
            if target := numbered(getattr(options, name), frame, digits):
                check_target(target)
    if options.maps:
        check_target(options.maps / "normals.json")
    if options.output:
        check_target(options.output)
    scene = bpy.context.scene
    if options.scene:
        scene = bpy.data.scenes.get(options.scene)
        if scene is None:
            names = ", ".join(f"'{name}'" for name in bpy.data.scenes.keys())  # noqa: SIM118
            raise Trouble(f"There is no scene '{options.scene}'; the file holds {names}.")
    view_layer = scene.view_layers[0] if scene != bpy.context.scene else bpy.context.view_layer
    head = None
    with bpy.context.temp_override(scene=scene, view_layer=view_layer):
        if options.source or options.photos:
            make_cameras(options)
        if options.frame is not None:
            scene.frame_set(options.frame)
        view_layer.update()
        if options.task == "cameras":
            said, trouble = "the cameras are made", ""
        elif frames:
            said, trouble = every_frame(options, scene, frames, digits)
        else:
            head, said, trouble = one(options, None, digits)
    if options.output and (frames or not trouble or head is not None):
        save(options.output)
    if said:
        print(f"Done: {said}", flush=True)
    if trouble:
        raise Trouble(trouble)


def check_usage(options: argparse.Namespace) -> None:
    if options.task == "cameras" and not (options.source or options.photos):
        raise Trouble("There are no cameras to make: give --import or --photos.")
    if options.source and options.photos:
        raise Trouble("Give either --import or --photos, not both.")


def session_of() -> object:
    return sys.modules[f"{load_extension().__name__}.skullptor_blender.link.session"]


def call(operator, **keywords):
    """An operator with its outcome. Raises Trouble with its sentence."""
    session = session_of()
    session.quiet = True
    try:
        done = operator("EXEC_DEFAULT", **keywords)
    except RuntimeError as error:
        raise Trouble(str(error).strip()) from None
    finally:
        session.quiet = False
    if "FINISHED" not in done:
        raise Trouble(f"{session.outcome.text} {session.outcome.cure}".strip())
    return session.outcome


def make_cameras(options: argparse.Namespace) -> None:
    import bpy

    keywords = {"turn_upright": not options.keep_world}
    for name in ("capture_folder", "bridge_python", "front"):
        if getattr(options, name):
            keywords[name] = str(getattr(options, name))
    if options.photos:
        outcome = call(bpy.ops.skullptor.photos_to_cameras, directory=options.photos, **keywords)
    else:
        for name in ("format", "images"):
            if getattr(options, name):
                keywords[name] = getattr(options, name)
        try:
            outcome = call(bpy.ops.skullptor.import_capture, filepath=options.source, **keywords)
        except TypeError as error:  # Blender names the formats there are
            raise Trouble(" ".join(str(error).split())) from None
    warn(outcome)
    print(outcome.text, flush=True)


def warn(outcome) -> None:
    for warning in outcome.warnings:
        print(f"Warning: {warning}", flush=True)


def every_frame(options: argparse.Namespace, scene, frames: list[int], digits: int) -> tuple[str, str]:
    """One result after another; returns what was done, and what went wrong or nothing."""
    heads, failed, done = [], [], 0
    for frame in frames:
        scene.frame_set(frame)
        head, said, trouble = one(options, frame, digits)
        if head is not None:
            heads.append((frame, head))
        if trouble:
            failed.append(frame)
            print(f"Error: frame {frame}: {trouble}", file=sys.stderr, flush=True)
            if options.stop_on_error:
                break
        else:
            done += 1
            print(f"Frame {frame}: {said}", flush=True)
    show_in_turn(heads)
    trouble = f"{len(failed)} of {len(frames)} frames failed: {', '.join(map(str, failed))}." if failed else ""
    return f"{done} of {len(frames)} frames", trouble


def one(options: argparse.Namespace, frame: int | None, digits: int) -> tuple[object, str, str]:
    """The task at the current frame and its files: (the head object or None, what was done, what went wrong)."""
    import bpy

    keywords = {name: getattr(options, name) for name in KEYWORDS if getattr(options, name) is not None}
    try:
        if options.task == "check":
            return None, *check(options, frame, digits)
        if options.task == "normals":
            operator = bpy.ops.skullptor.predict_normals
            known = operator.get_rna_type().properties
            outcome = call(operator, **{name: value for name, value in keywords.items() if name in known})
            write_maps(options, outcome, frame, digits)
            warn(outcome)
            return None, outcome.text, ""
        outcome = call(bpy.ops.skullptor.reconstruct_head, **keywords)
        head = bpy.data.objects[outcome.object_name]
        if frame is not None:
            head.name = f"Head_{frame:0{digits}d}"
            head.data.name = f"{head.name}.mesh"
        try:
            write_files(options, outcome, frame, digits)
        except Trouble as trouble:
            kept = Path(outcome.result).with_suffix(".ply")
            return head, outcome.text, f"{trouble} The head is kept as '{kept}'."
        warn(outcome)
        return head, outcome.text, ""
    except Trouble as trouble:
        return None, "", str(trouble)


def check(options: argparse.Namespace, frame: int | None, digits: int) -> tuple[str, str]:
    """Print and write the findings; errors among them are what went wrong."""
    import bpy

    keywords = {"bridge_python": options.bridge_python} if options.bridge_python else {}
    outcome = call(bpy.ops.skullptor.check_cameras, **keywords)
    session = session_of()
    found = [finding for finding in session.findings if finding.severity in ("ERROR", "WARNING")]
    for finding in found:
        print(f"{finding.severity.title()}: {finding.sentence} {finding.cure}".strip(), flush=True)
    if target := numbered(options.report, frame, digits):
        keys = ("code", "severity", "view", "sentence", "cure")
        body = {"findings": [{key: getattr(finding, key) for key in keys} for finding in session.findings]}
        write_text(target, json.dumps(body, indent=1, ensure_ascii=False))
    copy(session.check_picture, numbered(options.picture, frame, digits))
    warn(outcome)
    errors = sum(finding.severity == "ERROR" for finding in found)
    trouble = f"The check found {errors} error{'s' if errors != 1 else ''} in the cameras." if errors else ""
    return outcome.text, trouble


def show_in_turn(heads: list) -> None:
    """Each head from its frame on, until the next one comes: the saved scene plays as an animation."""
    for i, (frame, head) in enumerate(heads):
        head.hide_set(False)
        for name in ("hide_viewport", "hide_render"):
            for at, hidden in (
                [(heads[0][0], True)] * (i > 0) + [(frame, False)] + [(at, True) for at, _ in heads[i + 1 : i + 2]]
            ):
                setattr(head, name, hidden)
                head.keyframe_insert(name, frame=at)


@contextlib.contextmanager
def replacing(target: Path):
    """A temporary path beside the target, which takes its name when the block ends well: an earlier file stays whole
    until the new one is. Raises Trouble with the system's reason."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise Trouble(f"'{target}' cannot be written: {error.strerror or error}.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    print(f"Wrote {target}", flush=True)


def write_text(target: Path, text: str) -> None:
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def copy(source: str, target: Path | None) -> None:
    """A file of the run to where it was asked for; a file that the bridge did not make is a warning."""
    if target is None:
        return
    if not source or not Path(source).is_file():
        print(f"Warning: the engine gave no {target.suffix} for {target}", flush=True)
        return
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def write_files(options: argparse.Namespace, outcome, frame: int | None, digits: int) -> None:
    for target, source in (
        (options.ply, str(Path(outcome.result).with_suffix(".ply"))),
        (options.report, outcome.report),
        (options.picture, outcome.picture),
    ):
        copy(source, numbered(target, frame, digits))


def write_maps(options: argparse.Namespace, outcome, frame: int | None, digits: int) -> None:
    """The maps' folder; with frames one inside it for each."""
    copy(outcome.report, numbered(options.report, frame, digits))
    copy(outcome.picture, numbered(options.picture, frame, digits))
    if options.maps:
        target = options.maps if frame is None else options.maps / f"{frame:0{digits}d}"
        try:
            shutil.copytree(Path(outcome.report).parent, target, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            raise Trouble(f"'{target}' cannot be written: {error}") from None
        print(f"Wrote {target}", flush=True)


def save(target: Path) -> None:
    import bpy

    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(target.resolve()), copy=True, relative_remap=True)
    except RuntimeError as error:
        raise Trouble(f"'{target}' cannot be written: {_reason(target, str(error).strip())}") from None
    print(f"Wrote {target}", flush=True)


def _reason(target: Path, said: str) -> str:
    """Why Blender could not save: it may say "Success" of a full disk, so the system is asked again."""
    probe = target.with_name(f".{target.name}.probe")
    try:
        probe.write_bytes(bytes(1 << 20))
    except OSError as error:
        return f"{error.strerror or error}."
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return said


def run(arguments: list[str], program: str = "batch.py") -> int:
    """The whole batch; returns the exit code."""
    try:
        options = parser(program).parse_args(arguments)
    except SystemExit as leave:
        return int(leave.code or 0)
    try:
        execute(options)
    except Trouble as trouble:
        print(f"Error: {trouble}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("Error: stopped.", file=sys.stderr, flush=True)
        return 1
    return 0


def leave(code: int) -> None:
    """End Blender with an exit code. As a module it may crash or hang at interpreter exit."""
    import bpy

    package = load_extension()
    sys.modules[f"{package.__name__}.skullptor_blender.link.worker"].stop_all()
    if package.__name__ == PACKAGE:  # an enabled extension is unregistered by Blender itself
        package.unregister()
    sys.stdout.flush()
    sys.stderr.flush()
    if getattr(bpy.app, "module", not bpy.app.binary_path):
        os._exit(code)
    sys.exit(code)


def main(argv: list[str]) -> None:
    """As a script: arguments after '--'; under the bpy module a .blend file may stand before it."""
    import bpy

    arguments = argv[argv.index("--") + 1 :] if "--" in argv else []
    before = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    code = None
    if getattr(bpy.app, "module", not bpy.app.binary_path):
        if len(before) == 1 and before[0] not in ("-h", "--help"):
            try:
                bpy.ops.wm.open_mainfile(filepath=str(Path(before[0]).resolve()))
            except RuntimeError as error:
                reason = str(error).strip().removeprefix("Error: ")
                print(f"Error: '{before[0]}' cannot be opened. {reason}", file=sys.stderr, flush=True)
                code = 1
        elif before and before[0] in ("-h", "--help"):
            arguments = ["--help"]
        else:
            print(f"usage: {Path(__file__).name} SCENE.blend -- [options]", file=sys.stderr, flush=True)
            code = 2
    leave(run(arguments) if code is None else code)


_commands: list = []


def register() -> None:
    import bpy

    _commands.append(bpy.utils.register_cli_command(COMMAND, lambda argv: run(argv, f"blender --command {COMMAND}")))


def unregister() -> None:
    import bpy

    while _commands:
        bpy.utils.unregister_cli_command(_commands.pop())


if __name__ == "__main__":
    main(sys.argv)
