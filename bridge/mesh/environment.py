"""Settings that numba and OpenMP read once, when they start. Called on import of bridge.mesh, before numba's import."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from ..files import cache_folder

BRIDGE = Path(__file__).resolve().parent.parent
PACKAGES = ("mesh", "raster", "solve", "photometric", "texture", "training")  # the packages with compiled kernels


def prepare() -> None:
    """Respects what the user has set."""
    # Threads that wait for work must sleep, not spin: a solve has a dozen short parallel sections a step, and on a
    # machine that is busy with something else spinning made it 10x slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Numba takes TBB first where the system has one. That one leaked 5 MB a job in a bridge that stays warm, and took
    # 120 s on a busy machine for a head that OpenMP carved in 70 s, the same to the bit.
    os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")
    if "NUMBA_CACHE_DIR" not in os.environ:
        os.environ["NUMBA_CACHE_DIR"] = str(_kernel_folder())


def compiled() -> bool:
    """Have the kernels of this copy of the bridge been compiled on this machine?"""
    return _mark().is_file()


def mark_compiled() -> None:
    """They are: no later run has to wait for them. Without a folder to write to it is found out anew each time."""
    with contextlib.suppress(OSError):
        _mark().touch()


def _mark() -> Path:
    """Of the place too: numba keeps its kernels by it, so that the same version in another Blender compiles anew."""
    place = hashlib.sha256(str(BRIDGE).encode()).hexdigest()[:16]
    return Path(os.environ["NUMBA_CACHE_DIR"]) / f"compiled-{_version()}-{place}"


def _version() -> str:
    """Of the sources that hold kernels."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((BRIDGE / package).rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _kernel_folder() -> Path:
    """A writable folder for compiled kernels, one for each version of the sources.

    Numba itself looks only at the file a kernel is in: after an update of one file it would go on running kernels that
    contain inlined code of the old one.
    """
    name = Path("kernels") / _version()
    for root in (cache_folder(), Path(tempfile.gettempdir()) / "skullptor"):
        try:
            (root / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(root / name, os.W_OK):
            return root / name
    return Path(tempfile.mkdtemp(prefix="skullptor-"))
