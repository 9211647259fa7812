"""A texture that was baked before, from the same photographs by the same code, is not baked again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..capture.record import View
from ..files import atomic, claim_folder
from ..texture.detail import DenseHead
from ..texture.files import MESH_FILES, REPORT
from ..texture.settings import TextureSettings
from ..texture.texture import Target
from .cache import Cache, digest_of, key_of, parts_of

CODE = Path(__file__).resolve().parents[1] / "texture"


def key(
    target: Target,
    views: Sequence[View],
    masks: Sequence[np.ndarray | None],
    settings: TextureSettings,
    dense: DenseHead | None = None,
) -> str | None:
    """A name for all that decides what is in a texture's folder, the code that makes it included.

    None where a photograph cannot be read: baking will say which.
    """
    mesh = target.mesh
    arrays = [mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv, target.up, target.front]
    arrays += [] if dense is None else [dense.mesh.vertices, dense.mesh.faces]
    try:
        code = [digest_of(path) for path in sorted(CODE.rglob("*.py"))]
        pictures = [part for view in views for part in [view.name, *parts_of(view)]]
    except OSError:
        return None
    return key_of(["texture", json.dumps(asdict(settings)), *code, *arrays, *pictures, *masks])


@contextlib.contextmanager
def kept(cache: Cache | None, name: str | None, folder: Path) -> Iterator[bool]:
    """A texture's folder by its key: filled from the cache (True), or kept in it when the block has filled it (False).

    Nothing is kept without a cache or a name. Raises BridgeError "output".
    """
    if cache is None or name is None:
        yield False
        return
    files = cache.get(name)
    if files is not None:
        claim_folder(folder)
        for file, content in files.items():
            with atomic(folder / file) as temporary:
                content.tofile(temporary)
        yield True
        return
    yield False
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    made = [REPORT, *(file for files in report["maps"].values() for file in files)]
    made += MESH_FILES if report["uvs"] == "made" else []
    cache.put(name, {file: np.fromfile(folder / file, np.uint8) for file in made})
