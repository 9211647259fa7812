"""python -m bridge weights: where weights are, their checksums; fetching others' on request, never silently.

The product's own weights ship with it; DAViD's models (Microsoft, MIT) come by `python -m bridge weights david`. Their
makers publish no checksums: those of the first fetch are written beside the files, and every later use is checked
against them; --sha256 demands a known one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import BridgeError
from . import WEIGHTS
from .david import FOREGROUND_FILE, NORMAL_FILE
from .sessions import checked, sha256, weights_folder

CHUNK = 1 << 20


@dataclass(frozen=True)
class WeightSet:
    """Files of one maker under one licence. ``files``: role -> file name."""

    name: str
    source: str  # folder's address
    files: dict[str, str]
    licence: str
    about: str


SETS = {
    "david": WeightSet(
        "david",
        "https://facesyntheticspubwedata.z6.web.core.windows.net/iccv-2025/models",
        {"normals": NORMAL_FILE, "foreground": FOREGROUND_FILE},
        "MIT, (c) Microsoft Corporation",
        "DAViD (ICCV 2025): normals and foreground of one view at a time; two ViT-L/16 of over a gigabyte each",
    )
}


def fetch_file(source: str, file: Path, progress: Callable[[int, int], None]) -> None:
    """One file from a web folder or a local one, through FILE.part: a broken download goes on where it stopped.

    progress(bytes, total); total 0: unknown. Raises BridgeError "weights-unreachable".
    """
    part = file.with_name(file.name + ".part")
    if "://" not in source:
        try:
            shutil.copyfile(Path(source) / file.name, part)
        except OSError as error:
            raise _unreachable(file.name, source, error) from error
        part.replace(file)
        return
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(f"{source.rstrip('/')}/{file.name}", headers={"Range": f"bytes={have}-"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            if answer.status != 206:  # the server sends all of it
                have = 0
            total = have + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if have else "wb") as out:
                while block := answer.read(CHUNK):
                    out.write(block)
                    have += len(block)
                    progress(have, total)
        if total and have < total:
            raise ConnectionError(f"the connection ended after {have} of {total} bytes")
    except urllib.error.HTTPError as error:
        if error.code != 416 or have == 0:  # 416: the part is already whole
            raise _unreachable(file.name, source, error) from error
    except OSError as error:
        raise _unreachable(file.name, source, error) from error
    part.replace(file)


def _unreachable(name: str, source: str, error: Exception) -> BridgeError:
    return BridgeError(
        "weights-unreachable",
        f"{name} could not be fetched from {source} ({error}).",
        "Run the command again to go on, or bring the files yourself with --from FOLDER.",
    )


def fetch(
    which: WeightSet,
    folder: Path,
    source: str,
    demanded: dict[str, str],
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> Path:
    """All files of a set into a folder, and their record NAME.json with checksums. demanded: file -> SHA-256.

    Raises BridgeError "weights-unreachable", "weights-wrong" (the file is removed).
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{which.name}.json"
    known = {e["file"]: e["sha256"] for e in _read(record).get("files", {}).values()} | demanded
    files = {}
    for role, name in which.files.items():
        file = folder / name
        if not file.exists() or known.get(name, sha256(file)) != sha256(file):
            fetch_file(source, file, partial(progress, name))
        found = sha256(file)
        if known.get(name, found) != found:
            file.unlink()
            raise BridgeError(
                "weights-wrong",
                f"{name} has the checksum {found}, not {known[name]}: it is damaged or another file.",
                f"Fetch it again; if its makers have published a new version, delete {record} first.",
            )
        files[role] = {"file": name, "sha256": found, "bytes": file.stat().st_size}
    body = {"name": which.name, "source": source, "licence": which.licence, "files": files}
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    temporary.replace(record)
    return record


def _read(record: Path) -> dict:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def state(folder: Path, record: str) -> str:
    """One sentence about the weights in a folder."""
    try:
        files = checked(folder, record)["files"].values()
    except ValueError as error:
        return str(error)
    return (
        f"{len(files)} files, {sum((folder / e['file']).stat().st_size for e in files) / 1e6:.0f} MB, checksums agree"
    )


def main(argv: list[str]) -> int:
    """Without arguments: what is here. With a name: fetch that set. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="bridge weights", description=main.__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(SETS), help="the set to fetch")
    parser.add_argument("--from", dest="source", help="a folder or a web address that holds the files instead")
    parser.add_argument("--folder", type=Path, help="where to keep them (default: the user's data folder)")
    parser.add_argument("--sha256", action="append", default=[], metavar="FILE=SUM", help="demand a checksum")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    args = parser.parse_args(argv)
    if args.name is None:
        print(f"network: {state(WEIGHTS, 'skullptor_small.json')} ({WEIGHTS})")
        for name in SETS:
            folder = weights_folder(name)
            print(f"{name}: " + (state(folder, f"{name}.json") if folder.exists() else "not fetched") + f" ({folder})")
        return 0
    which = SETS[args.name]
    folder, source = args.folder or weights_folder(args.name), args.source or which.source
    print(f"{which.about}.\nLicence: {which.licence}.\nFrom {source} to {folder}.")
    if not args.yes and (not sys.stdin.isatty() or input("Fetch them? [y/N] ").strip().lower() not in ("y", "yes")):
        print("Nothing was fetched. Say yes, or pass --yes.", file=sys.stderr)
        return 1
    demanded = dict(pair.split("=", 1) for pair in args.sha256)
    last = [-1]

    def progress(name: str, done: int, total: int) -> None:
        percent = 100 * done // total if total else done // (50 * CHUNK)
        if percent // 5 != last[0]:
            last[0] = percent // 5
            print(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB", flush=True)

    try:
        record = fetch(which, folder, source, demanded, progress)
    except BridgeError as error:
        print(f"error: {error.sentence} {error.cure}", file=sys.stderr)
        return 1
    for entry in json.loads(record.read_text(encoding="utf-8"))["files"].values():
        print(f"{entry['sha256']}  {entry['file']}")
    return 0
