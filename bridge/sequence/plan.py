"""What a worker must be told to solve any frame of a run: names of files and settings, never pictures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..job.cache import digest_of, key_of
from ..service.protocol import VERSION, JobSettings
from .frames import Source, open_source


@dataclass(frozen=True)
class Plan:
    """A run of `python -m bridge sequence`. All paths are absolute and mean the same on every machine."""

    source: str
    output: str
    pictures: str = ""  # folder of the cameras' pictures or videos, where the source is a rig
    masks: str = ""  # the same of masks
    first: int = 1  # number of a video's first frame
    identity: str = ""  # file of who performs, where frames are tracked
    dense: bool = False  # keep the dense head of every frame that has one
    settings: JobSettings = field(default_factory=JobSettings)

    def open(self) -> Source:
        """The frames. Raises BridgeError."""
        pictures, masks = (Path(name) if name else None for name in (self.pictures, self.masks))
        return open_source(Path(self.source), pictures, masks, self.first)

    def key(self, source: Source, number: int) -> str:
        """A name for all that decides a frame's result: files by name, size and date, settings, our version."""
        decisive: dict[str, object] = {"version": VERSION, "dense": self.dense, "settings": asdict(self.settings)}
        if self.identity:
            decisive |= {"identity": digest_of(Path(self.identity))}
        return key_of([json.dumps(decisive, sort_keys=True), *source.inputs(number)])
