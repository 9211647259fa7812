"""Tiny wheels, and an add-on folder that asks for them: a whole set-up without a network and in seconds."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path


def wheel(folder: Path, name: str, version: str = "1.0", needs: tuple[str, ...] = ()) -> Path:
    """A pure Python package of one line."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{name}.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {need}\n" for need in needs),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return made


_BRIDGE = """
import pathlib, sys, time
if sys.argv[1] == "warm":
    for share in (25, 50, 75):
        print(f"{share:3d}%  Preparing Skullptor", flush=True)
        time.sleep(0.2)
if sys.argv[1] == "doctor":
    missing = []
    for name in ("skpone", "skptwo", "skpthree"):
        try:
            print(name, __import__(name).__version__)
        except ImportError as error:
            missing.append(f"Problem: {error}")
    print(*missing or ["Everything needed is here."], sep="\\n")
    sys.exit(bool(missing))
"""


def addon_root(folder: Path, packages: tuple[str, ...] = ("skpone>=1,<2", "skptwo")) -> Path:
    """Stands for the add-on's folder: its list of packages and a bridge that knows warm and doctor."""
    (folder / "bridge").mkdir(parents=True)
    (folder / "bridge" / "__init__.py").touch()
    (folder / "bridge" / "__main__.py").write_text(_BRIDGE)
    listed = ", ".join(f'"{package}"' for package in packages)
    body = f"[project.optional-dependencies]\nbridge = [{listed}]\ncuda = [{listed}]\n"
    (folder / "pyproject.toml").write_text(body)
    return folder
