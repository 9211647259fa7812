"""Set-up from an offline folder of tiny wheels: whole, interrupted, cancelled, failing, removed; no downloads."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from skullptor_extension.skullptor_blender.link import environment, setup, worker

from tests.support import ROOT
from tests.support.wheels import addon_root, wheel

PLACE = "Zoë's Blender Büste ✓"  # spaces, an apostrophe and letters beyond ASCII


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A set-up that would ask the network fails at once."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_USER", "1")  # a setting of the user's that would send packages elsewhere
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.delenv(worker.PYTHON_VARIABLE, raising=False)


@pytest.fixture
def wheels(tmp_path) -> Path:
    folder = tmp_path / PLACE / "wheels"
    wheel(folder, "skpone", "1.5")
    wheel(folder, "skpone", "2.0")  # beyond what is asked for
    wheel(folder, "skptwo", needs=("skpthree",))
    wheel(folder, "skpthree", "3.1")
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """An environment with pip and nothing else, made once: most of a set-up's time."""
    folder = tmp_path_factory.mktemp("bare") / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder


@pytest.fixture
def plan(tmp_path, wheels) -> setup.Plan:
    place = tmp_path / PLACE
    return setup.Plan(
        addon_root(place / "add-on"), place / "user" / "environment", python=sys.executable, wheels=wheels
    )


@pytest.fixture
def prepared(plan, bare, monkeypatch) -> setup.Plan:
    """As after the first minute of a set-up: the environment is there, no package is."""
    shutil.copytree(bare, plan.folder, symlinks=True)
    claim(plan)
    return plan


def claim(plan):
    packages = environment.requirements(plan.root, plan.extra)
    source = "folder" if plan.wheels else "index"
    version = f"{sys.version_info[0]}.{sys.version_info[1]} {source}"
    name = environment.digest(packages, version, environment.pins(plan.root))
    environment.write_json(plan.folder / environment.CLAIM, {"digest": name})


def run(plan, each=lambda job: None, seconds=120) -> setup.SetUp:
    job = setup.SetUp(plan).start()
    end = time.monotonic() + seconds
    while job.running:
        assert time.monotonic() < end, job.stage
        each(job)
        time.sleep(0.005)
    job.join(5)
    assert job._child is None
    return job


def stop_at(text):
    def look(job):
        if text in job.stage and not job.cancelling:
            job.cancel()

    return look


def test_from_nothing_to_a_bridge_that_answers_and_back(plan):
    """The whole of it, with the real venv and pip."""
    seen, fractions = [], []

    def look(job):
        fractions.append(job.fraction)
        if job.stage not in seen:
            seen.append(job.stage)

    job = run(plan, look)
    assert job.state == setup.FINISHED, job.error
    assert [stage for stage in seen if stage.startswith("Installing")] == [
        "Installing skpone (1 of 3)",
        "Installing skpthree (2 of 3)",
        "Installing skptwo (3 of 3)",
    ]
    assert fractions == sorted(fractions)
    assert job.fraction == 1.0
    assert "Preparing Skullptor, once, about 2 minutes" in seen
    compiling = {share for share in fractions if setup.SHARES["warm"] < share < setup.SHARES["doctor"]}
    assert compiling  # the bar moves while the engine is compiled
    assert job.doctor.splitlines() == ["skpone 1.5", "skptwo 1.0", "skpthree 3.1", "Everything needed is here."]
    python = worker.environment_python(plan.folder)
    assert worker.find_interpreter("", plan.root, [plan.folder]) == python
    assert environment.is_current(plan.folder, plan.root)
    locked = environment.read_json(plan.folder / environment.LOCK)["packages"]
    assert all(len(package["sha256"]) == 64 for package in locked)
    assert "Successfully installed skptwo-1.0" in plan.log.read_text(encoding="utf-8")
    assert environment.size(plan.folder) > 1_000_000

    # Once more: nothing is chosen or installed again
    before = plan.folder / environment.LOCK
    stamp = before.stat().st_mtime_ns
    assert run(plan).state == setup.FINISHED
    assert before.stat().st_mtime_ns == stamp
    assert "Successfully installed" not in plan.log.read_text(encoding="utf-8")

    # A new version of the add-on names other packages: the environment is made anew
    shutil.rmtree(plan.root)
    addon_root(plan.root, ("skpone<2", "skptwo", "skpthree"))
    assert not environment.is_current(plan.folder, plan.root)

    # Blender ended while a Remove was at work
    plan.folder.replace(plan.folder.with_name("environment.removed-1234"))
    plan.folder.mkdir()
    environment.write_json(plan.folder / environment.CLAIM, {})
    beside = plan.folder.parent / "mine"
    beside.touch()
    setup.remove(plan.folder).join(20)
    assert sorted(path.name for path in plan.folder.parent.iterdir()) == ["mine", "set-up.lock", "set-up.log"]


def test_cancelled_and_gone_on_with(prepared):
    began = time.monotonic()
    job = run(prepared, stop_at("2 of 3"))
    assert job.state == setup.CANCELLED
    assert time.monotonic() - began < 60
    assert (prepared.folder / environment.DONE).read_text() == "skpone==1.5\n"
    with pytest.raises(worker.WorkerError, match="not finished"):
        worker.find_interpreter("", prepared.root, [prepared.folder])
    log = run_again(prepared)
    assert "skpone-1.5" not in log
    assert "Successfully installed skptwo-1.0" in log


def run_again(plan) -> str:
    job = run(plan)
    assert job.state == setup.FINISHED, job.error
    return plan.log.read_text(encoding="utf-8")


def test_what_a_killed_pip_leaves_is_overwritten(prepared, wheels):
    """Half a package: its files are there, the record of them is not."""
    site = next(prepared.folder.glob("Lib/site-packages" if worker.WINDOWS else "lib/python3*/site-packages"))
    (site / "skpone.py").write_text("half a li")
    (site / "skpone-1.5.dist-info").mkdir()
    (site / "skpone-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: skpone\nVersion: 1.5\n")
    assert "Successfully installed skpone-1.5" in run_again(prepared)


def test_a_package_that_is_not_in_the_folder_is_named(prepared, wheels):
    (wheels / "skpthree-3.1-py3-none-any.whl").unlink()
    job = run(prepared)
    assert job.state == setup.FAILED
    assert "no wheel of skpthree" in job.error.sentence
    assert PLACE in job.error.sentence
    assert "pip download" in job.error.cure
    wheel(wheels, "skpthree", "3.1")
    run_again(prepared)


def test_a_wheel_that_was_exchanged_is_refused(prepared, wheels):
    assert run(prepared, stop_at("1 of 3")).state == setup.CANCELLED
    wheel(wheels, "skptwo", needs=("skpthree", "skpone"))
    job = run(prepared)
    assert job.state == setup.FAILED
    assert job.error.code == "package"
    assert "skptwo" in job.error.sentence
    assert "refused" in job.error.sentence


def test_no_network_is_told_as_such(prepared):
    online = setup.Plan(prepared.root, prepared.folder, python=sys.executable)
    claim(online)
    job = run(online)
    assert job.state == setup.FAILED
    assert job.error.code == "network", job.error
    assert "goes on where it stopped" in job.error.cure


def test_the_doctors_verdict_decides(prepared):
    main = prepared.root / "bridge" / "__main__.py"
    main.write_text(main.read_text().replace("skpthree", "skpfour"))
    job = run(prepared)
    assert job.state == setup.FAILED
    assert "No module named 'skpfour'" in job.error.sentence
    assert "Problem" in job.doctor
    assert not environment.is_ready(prepared.folder)


def test_a_folder_of_somebody_else_is_left_alone(plan):
    plan.folder.mkdir(parents=True)
    (plan.folder / "thesis.txt").write_text("mine")
    job = run(plan)
    assert job.state == setup.FAILED
    assert "was not made by this add-on" in job.error.sentence
    with pytest.raises(worker.WorkerError, match="was not made by this add-on"):
        setup.remove(plan.folder)
    assert (plan.folder / "thesis.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_or_a_full_disk(plan, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    job = run(setup.Plan(plan.root, tmp_path / "file" / "environment", python=sys.executable, wheels=plan.wheels))
    assert job.error.code == "disk"
    assert "cannot be written" in job.error.sentence
    monkeypatch.setitem(setup.GIGABYTES, "bridge", 1e9)
    job = run(plan)
    assert job.error.code == "disk"
    assert "GB left" in job.error.sentence


def test_two_blenders_at_once(plan):
    with setup._locked(plan):
        job = run(plan)
    assert "Another Blender" in job.error.sentence


KILLED = """
import pathlib, sys, time, types
place, root, folder, wheels = map(pathlib.Path, sys.argv[1:5])
for name, path in (("addon", place), ("addon.skullptor_blender", place / "skullptor_blender")):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [str(path)]
from addon.skullptor_blender.link import setup
while True:
    job = setup.SetUp(setup.Plan(root, folder, python=sys.executable, wheels=wheels)).start()
    job.join()
    if not (job.error and "was killed" in job.error.sentence):  # the one before is still being buried
        break
    time.sleep(0.1)
sys.exit(str(job.error) if job.error else 0)
"""


@pytest.mark.skipif(worker.WINDOWS, reason="kills a process group")
def test_killed_at_any_moment_it_goes_on(plan, bare):
    """Blender dies without a word, each time a little later; the last one brings it to its end."""
    shutil.copytree(bare, plan.folder, symlinks=True)
    claim(plan)
    dice, logs = random.Random(3), set()
    for i in range(5):
        places = [str(path) for path in (ROOT, plan.root, plan.folder, plan.wheels)]
        child = subprocess.Popen([sys.executable, "-c", KILLED, *places])
        time.sleep(0.3 + i + dice.random())
        assert child.poll() in (None, 0)
        child.kill()
        child.wait()
        logs.add(plan.log.read_text(encoding="utf-8") if plan.log.is_file() else "")
    assert any("> " in log for log in logs)  # they did get to work
    end = time.monotonic() + 60
    while (job := run(plan)).error and "was killed" in job.error.sentence:  # what it started may still be at it
        assert time.monotonic() < end
        time.sleep(0.2)
    assert job.state == setup.FINISHED, job.error
    assert environment.is_ready(plan.folder)


def test_the_tested_versions_are_installed_where_they_exist(plan, bare, wheels):
    """bridge/constraints.txt pins; a system without those versions gets others."""
    shutil.copytree(bare, plan.folder, symlinks=True)
    pins = plan.root / environment.PINS
    wheel(wheels, "skpone", "1.4")
    for text, version in (("skpone==1.4\n", "1.4"), ("skpone==1.45\n", "1.5")):
        pins.write_text(text)
        claim(plan)
        assert not environment.is_current(plan.folder, plan.root) or version == "1.5"
        assert run(plan).state == setup.FINISHED
        locked = environment.read_json(plan.folder / environment.LOCK)["packages"]
        assert {"name": "skpone", "version": version} == {key: locked[0][key] for key in ("name", "version")}
        assert environment.is_current(plan.folder, plan.root)
    assert "do not suit this system" in plan.log.read_text(encoding="utf-8")


def test_a_file_that_is_not_the_tested_one_is_refused_before_anything_is_installed(prepared, wheels):
    """bridge/hashes.txt, as `uv pip compile --generate-hashes` writes it."""
    sha256 = hashlib.sha256((wheels / "skpone-1.5-py3-none-any.whl").read_bytes()).hexdigest()
    record = prepared.root / environment.HASHES
    record.write_text(f"# made by uv\nskpone==1.5 \\\n    --hash=sha256:{'0' * 64}\n")
    job = run(prepared)
    assert job.state == setup.FAILED and "skpone==1.5 is not the file" in job.error.sentence
    assert not (prepared.folder / environment.DONE).exists()
    record.write_text(f"skpone==1.5 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{sha256}\n")
    assert run(prepared).state == setup.FINISHED
    assert environment.canonical("Pillow_HEIF", "1.8") == environment.canonical("pillow-heif", "1.8")
    assert "No tested file is on record for: skpthree==3.1, skptwo==1.0." in prepared.log.read_text(encoding="utf-8")


def test_bytes_that_are_loaded_move_the_bar(plan):
    job = setup.SetUp(plan)
    job._enter_stage("install", "Installing numpy (1 of 2)")
    job.share, job.detail = 0.35, "numpy-2.4.6.whl, 16.9 MB"
    job._loaded(0, 16_900_000)
    before = job.fraction
    job._loaded(8_450_000, 16_900_000)
    assert job.detail == "numpy-2.4.6.whl, 8.4 of 16.9 MB"
    assert before < job.fraction < before + 0.35


def test_the_pins_suit_the_project():
    """Each package that an extra names has a tested version, and within the range."""
    from packaging.requirements import Requirement

    lines = [line for line in environment.pins(ROOT).splitlines() if line and not line.startswith("#")]
    pinned = {name.lower(): version for name, version in (line.split("==") for line in lines)}
    for extra in ("bridge", "cuda"):
        for line in environment.requirements(ROOT, extra):
            requirement = Requirement(line)
            assert requirement.specifier.contains(pinned[requirement.name.lower()]), line
    assert set(environment.hashes(ROOT)) == {environment.canonical(*pin) for pin in pinned.items()}
    assert all(len(sha256) == 64 for files in environment.hashes(ROOT).values() for sha256 in files)


def test_the_python_that_makes_it(tmp_path, monkeypatch):
    path, version = environment.base_python(sys.executable)
    assert Path(path).is_file()
    assert version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert environment.base_python()[1] >= "3.11"
    with pytest.raises(worker.WorkerError, match="cannot be started.*Python for Set Up"):
        environment.base_python(str(tmp_path / "python"))
    old = tmp_path / "old python"
    old.write_text("#!/bin/sh\necho 3.9 $0\n")
    old.chmod(0o755)
    if not worker.WINDOWS:
        with pytest.raises(worker.WorkerError, match=r"is Python 3.9; the engine needs 3.11"):
            environment.base_python(str(old))
    if not worker.WINDOWS:
        old.write_text("#!/bin/sh\necho No module named ensurepip >&2\nexit 1\n")
        with pytest.raises(worker.WorkerError, match="apt install python3-venv"):
            environment.base_python(str(old))
    monkeypatch.setattr(environment, "candidates", lambda chosen: iter([[str(tmp_path / "no")]]))
    with pytest.raises(worker.WorkerError, match="No suitable Python"):
        environment.base_python()


def test_the_requirements_are_those_of_the_project(tmp_path):
    for extra in ("bridge", "cuda"):
        names = [environment.name_of(line) for line in environment.requirements(ROOT, extra)]
        assert "numpy" in names
        assert all(name.replace("-", "").isalnum() for name in names)
        assert "pycolmap" in names  # Photographs to Cameras works after Set Up
    with pytest.raises(worker.WorkerError, match="Install the add-on again"):
        environment.requirements(tmp_path, "bridge")


def test_the_graphics_card_chooses_the_packages(monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert environment.extra_for_machine() == "cuda"
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    monkeypatch.setattr(environment, "WINDOWS", False)
    assert environment.extra_for_machine() == "bridge"
