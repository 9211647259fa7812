"""The Khronos Group's glTF validator, where Node is: what it says of a file."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = "gltf-validator@2.0.0-dev.3.10"  # Apache-2.0
FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "node"
PROGRAM = """
const fs = require('fs'), validator = require('gltf-validator');
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1]))).then(
  report => console.log(JSON.stringify(report)), error => { console.error(error); process.exit(1); });
"""


def report(path: Path) -> dict:
    """The validator's report; skips the test where there is neither Node nor a way to the package."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("needs Node and npm for the Khronos validator")
    if not (FOLDER / "node_modules" / "gltf-validator").is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--silent", PACKAGE]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip("the Khronos validator cannot be installed here")
    done = subprocess.run(
        ["node", "-e", PROGRAM, str(path)], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(done.stdout)
