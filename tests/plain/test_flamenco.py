"""The Flamenco job type, run by Node in a stand-in of Flamenco Manager's scripting world."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.service.protocol import VERSION

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "pipeline" / "skullptor_sequence.js"
SETTINGS = {
    "frames": "101-150", "chunk_size": 20, "python": "/opt/skullptor/bin/python", "program": "/opt/skullptor",
    "source": "/shots/010/rig", "images": "/shots/010/images", "output": "/shots/010/heads", "template": "hm08",
    "key_frames": "4",
}  # fmt: skip
# What Manager 3 offers a job compiler script: author.Task and author.Command, frameChunker, the job's addTask
WORLD = """
const author = {
    Task: (name, type) => ({ name, type, commands: [], before: [],
        addCommand(command) { this.commands.push(command); }, addDependency(task) { this.before.push(task.name); } }),
    Command: (name, parameters) => ({ name, parameters }),
};
function frameChunker(frames, size) {
    const found = [];
    for (const part of frames.split(",")) {
        const [first, last] = part.split("-").map(Number);
        for (let at = first; at <= (last ?? first); at += size) {
            const end = Math.min(at + size - 1, last ?? first);
            found.push(at === end ? `${at}` : `${at}-${end}`);
        }
    }
    return found;
}
"""


@pytest.fixture(scope="module")
def node():
    found = shutil.which("node") or shutil.which("nodejs")
    if found is None:
        pytest.skip("needs Node")
    return found


def compiled(node: str, settings: dict) -> tuple[dict, list[dict]]:
    """The job type and the tasks of a job."""
    job = f"const job = {{ settings: {json.dumps(settings)}, tasks: [], addTask(task) {{ this.tasks.push(task); }} }};"
    ask = "compileJob(job); console.log(JSON.stringify([JOB_TYPE, job.tasks]));"
    text = "\n".join((WORLD, SCRIPT.read_text(encoding="utf-8"), job, ask))
    done = subprocess.run([node, "-"], input=text, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


def test_the_key_frame_comes_first_then_chunks_then_the_caches(node):
    _, tasks = compiled(node, SETTINGS)
    assert [task["name"] for task in tasks] == [
        "key frame", "frames 101-120", "frames 121-140", "frames 141-150", "caches",
    ]  # fmt: skip
    assert tasks[0]["before"] == [] and all(task["before"] == ["key frame"] for task in tasks[1:4])
    assert tasks[4]["before"] == ["frames 101-120", "frames 121-140", "frames 141-150"]


def test_every_setting_that_the_script_reads_is_one_that_it_declares(node):
    """Manager fills in the declared ones alone; an unknown type is refused when the script is loaded."""
    kind, _ = compiled(node, SETTINGS)
    declared = {setting["key"]: setting for setting in kind["settings"]}
    assert set(declared) == set(SETTINGS) and kind["label"]
    assert {setting["type"] for setting in declared.values()} <= {"string", "int32", "float", "bool"}


@pytest.mark.parametrize("folder", ["/opt/skullptor", "C:\\Skullptor"])
def test_a_folders_last_stroke_is_no_part_of_the_command(node, folder):
    for stroke in ("", "/", "\\"):
        _, tasks = compiled(node, SETTINGS | {"program": folder + stroke})
        assert tasks[0]["commands"][0]["parameters"]["args"][0] == f"{folder}/bridge"


def test_the_bridge_starts_by_its_folder_from_anywhere(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "bridge"), "--version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.strip() == VERSION


@pytest.mark.parametrize("images", ["", "/shots/010/images"])
def test_each_task_is_a_command_line_that_the_bridge_understands(node, images, monkeypatch):
    from bridge.sequence import cli

    asked = []
    monkeypatch.setattr(cli, "run", lambda options, terminal, control: asked.append(options) or 0)
    _, tasks = compiled(node, SETTINGS | {"images": images})
    for task in tasks:
        (command,) = task["commands"]
        arguments = command["parameters"]["args"]
        at = arguments.index("sequence")
        assert command["name"] == "exec" and command["parameters"]["exe"] == "/opt/skullptor/bin/python"
        assert arguments[:at] == ["/opt/skullptor/bridge"]
        assert cli.main(arguments[at + 1 :]) == 0
    assert [options.frames for options in asked] == ["101", "101-120", "121-140", "141-150", "101-150"]
    assert all(options.resume and options.wrap == "hm08" and options.key_frames == "4" for options in asked)
    assert all((str(options.images) if options.images else "") == images for options in asked)
