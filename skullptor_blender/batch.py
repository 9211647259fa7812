"""Reconstruct Head without a window: the same operator as the button, messages line by line, exit code 0, 1 or 2.

    blender -b scene.blend -P skullptor_blender/batch.py -- --output out.blend [options]
    blender -b scene.blend --command reconstruct_head --output out.blend [options]      (add-on installed)
    python skullptor_blender/batch.py scene.blend -- --output out.blend [options]       (Python with the bpy module)

Exit codes: 0 done, 1 a clear error was printed and no scene was written, 2 bad usage. Top level: standard library only,
so that this file can be run from anywhere.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "skullptor_extension"  # when it is no installed extension
KEYWORDS = (
    "preset", "normals", "device", "max_vertices", "steps", "smoothness", "seed",
    "image_folder", "mask_folder", "normals_folder", "bridge_python",
)  # fmt: skip
COMMAND = "reconstruct_head"


class Trouble(Exception):
    """One sentence; exit code 1."""


def parser(program: str = "batch.py") -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=program, description="Reconstruct the head that the scene's cameras show.", allow_abbrev=False
    )
    p.add_argument("--output", type=Path, metavar="OUT.blend", help="where the scene with the head is saved")
    p.add_argument("--ply", type=Path, metavar="HEAD.ply", help="the mesh as PLY, with per-vertex attributes")
    p.add_argument("--report", type=Path, metavar="R.json", help="numbers of the run")
    p.add_argument("--picture", type=Path, metavar="R.png", help="photographs, normals, result, error in one picture")
    p.add_argument("--scene", metavar="NAME", help="a scene of the file (default: the active one)")
    p.add_argument("--frame", type=int, help="the frame at which cameras and image sequences are read")
    settings = p.add_argument_group("settings (default: those stored in the scene)")
    settings.add_argument("--preset", choices=("draft", "standard", "fine"))
    settings.add_argument("--normals", choices=("network", "david", "measured"))
    settings.add_argument("--device", choices=("auto", "cpu", "cuda"))
    settings.add_argument("--max-vertices", type=_number(int, 500, 5_000_000), metavar="N")
    settings.add_argument("--steps", type=_number(int, 1, 100_000), metavar="N")
    settings.add_argument("--smoothness", type=_number(float, 0.0, 10.0), metavar="X")
    settings.add_argument("--seed", type=_number(int, 0, 2**31 - 1), metavar="N")
    settings.add_argument("--image-folder", metavar="DIR", help="photographs named as the cameras")
    settings.add_argument("--mask-folder", metavar="DIR", help="masks named as the cameras")
    settings.add_argument("--normals-folder", metavar="DIR", help="measured normal maps named as the cameras")
    settings.add_argument("--bridge-python", metavar="PYTHON", help="the solver's Python")
    return p


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
    """Run the operator and write what was asked for. Raises Trouble; then no file was written."""
    import bpy

    package = load_extension()
    session = sys.modules[f"{package.__name__}.skullptor_blender.session"]
    targets = [getattr(options, name) for name in ("output", "ply", "report", "picture")]
    for target in filter(None, targets):
        check_target(target)
    scene = bpy.context.scene
    if options.scene:
        scene = bpy.data.scenes.get(options.scene)
        if scene is None:
            names = ", ".join(f"'{name}'" for name in bpy.data.scenes.keys())  # noqa: SIM118
            raise Trouble(f"There is no scene '{options.scene}'; the file holds {names}.")
    if options.frame is not None:
        scene.frame_set(options.frame)
    keywords = {name: getattr(options, name) for name in KEYWORDS if getattr(options, name) is not None}
    view_layer = scene.view_layers[0] if scene != bpy.context.scene else bpy.context.view_layer
    with bpy.context.temp_override(scene=scene, view_layer=view_layer):
        view_layer.update()
        session.quiet = True
        try:
            done = bpy.ops.skullptor.reconstruct_head("EXEC_DEFAULT", **keywords)
        except RuntimeError as error:
            raise Trouble(str(error).strip()) from None
        finally:
            session.quiet = False
    outcome = session.outcome
    if "FINISHED" not in done:
        raise Trouble(f"{outcome.text} {outcome.cure}".strip())
    for warning in outcome.warnings:
        print(f"Warning: {warning}", flush=True)
    write_files(options, outcome)
    print(f"Done: {outcome.text}", flush=True)


def write_files(options: argparse.Namespace, outcome) -> None:
    import bpy

    target = None
    mesh = str(Path(outcome.result).with_suffix(".ply"))
    try:
        for target, source in (
            (options.ply, mesh),
            (options.report, outcome.report),
            (options.picture, outcome.picture),
        ):
            if target and source and Path(source).is_file():
                shutil.copyfile(source, target)
                print(f"Wrote {target}", flush=True)
            elif target:
                print(f"Warning: the bridge gave no {target.suffix} for {target}", flush=True)
        if target := options.output:
            bpy.ops.wm.save_as_mainfile(filepath=str(target.resolve()), copy=True, relative_remap=True)
            print(f"Wrote {target}", flush=True)
    except (OSError, RuntimeError) as error:
        raise Trouble(f"'{target}' cannot be written: {str(error).strip()}") from None


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
    sys.modules[f"{package.__name__}.skullptor_blender.worker"].stop_all()
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
