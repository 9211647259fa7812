"""Free memory goes back to the system after a job, so that a bridge that stays warm stays small."""

from __future__ import annotations

import ctypes
import gc
import os


def give_back() -> None:
    """What no job needs any more, returned to the system."""
    gc.collect()
    trim_heaps()


def trim_heaps() -> None:
    """What is free already, returned to the system.

    The C library keeps what was freed for its next allocations, for each thread apart and for as long as the bridge
    stays warm. malloc_trim hands back every free page; only glibc has (and needs) it.
    """
    if os.name == "posix" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
