"""What can be done about a finding with one click. No bpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_LOOSE = {"cameras-loose", "cameras-off"}
_PHOTOGRAPHS = {"too-few-views", "no-images", "folder-missing", "folder-fits-none", "capture-missing"}


@dataclass(frozen=True)
class Remedy:
    """A button: its words, its operator and the operator's properties."""

    text: str
    operator: str
    properties: dict[str, str] = field(default_factory=dict)


def remedy(code: str, cameras: Sequence[str] = ()) -> Remedy | None:
    """The one action for a finding; cameras: the culprits by name. None where only the artist knows what to do."""
    if code in _LOOSE:
        return Remedy("Refine Cameras", "skullptor.refine_cameras")
    if code in _PHOTOGRAPHS:
        return Remedy("Choose Photographs", "skullptor.add_photographs")
    if code == "template-missing":
        return Remedy("Get Template Data, 85 MB", "skullptor.get_template_data")
    if cameras:
        what = cameras[0] if len(cameras) == 1 else f"{len(cameras)} Cameras"
        return Remedy(f"Leave Out {what}", "skullptor.leave_out", {"cameras": "\n".join(cameras)})
    return None


def named(sentence: str, cameras: Iterable[str]) -> list[str]:
    """The cameras that a sentence names in quotes: what the engine says of a photograph names its camera."""
    return [camera for camera in cameras if f"'{camera}'" in sentence]
