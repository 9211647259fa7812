"""What the panel does, without a window: the same operators, messages line by line, exit code 0, 1 or 2.

    blender -b scene.blend -P skullptor_blender/batch.py -- --output out.blend [options]
    blender -b scene.blend --command reconstruct_head --output out.blend [options]      (add-on installed)
    python skullptor_blender/batch.py scene.blend -- --output out.blend [options]       (Python with the bpy module)

One frame, or many with --frames: a head for each, or a PLY for each. Exit codes: 0 done; 1 a clear error was printed
(of one frame or of all; without frames no file was written); 2 bad usage. Top level: standard library only, so that
this file can be run from anywhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "skullptor_extension"  # when it is no installed extension
COMMAND = "reconstruct_head"


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


def run(arguments: list[str], program: str = "batch.py") -> int:
    """The whole batch; returns the exit code."""
    headless = f"{load_extension().__name__}.skullptor_blender.headless"
    options, tasks = (importlib.import_module(f"{headless}.{name}") for name in ("options", "tasks"))
    try:
        asked = options.parser(program).parse_args(arguments)
    except SystemExit as leave:
        return int(leave.code or 0)
    try:
        tasks.execute(asked)
    except tasks.Trouble as trouble:
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
