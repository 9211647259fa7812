"""The wire between the add-on and the bridge (docs/pipeline/wire.md). Standard library only; Python 3.11 to 3.14.

Messages are UTF-8 JSON objects, one a line, on the bridge's stdin and stdout. Big data travels as files in the job's
output folder, written to a temporary name and renamed. The first line both ways is a Hello.

===========  ========  =============================================================================================
message      from      meaning, and how the artist sees it
===========  ========  =============================================================================================
hello        both      protocol number and version; a mismatch ends the conversation with an error naming both
run          add-on    start a job
finish       add-on    stop refining, give me what you have
cancel       add-on    stop, give me nothing
shutdown     add-on    leave after the current job is cancelled
status       bridge    a sentence for the status bar
progress     bridge    stage, done of total, seconds left: the progress bar
preview      bridge    an .npz with the mesh as it is now: the growing head in the viewport
warning      bridge    the job goes on, the artist should know: a yellow line in the panel
error        bridge    the job failed: one sentence, one cure
result       bridge    the .npz with the finished mesh and the report beside it
done         bridge    always the last message of a job
===========  ========  =============================================================================================
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field

PROTOCOL = 1
VERSION = "0.1.0"

PRESETS = ("draft", "standard", "fine")
NORMAL_SOURCES = ("network", "david", "measured")
DEVICES = ("auto", "cpu", "cuda")
RASTERISERS = ("auto", "cpu", "cuda", "nvdiffrast")
STAGES = ("mesh", "normals")
MINIMUM_VIEWS = 1


class ProtocolError(ValueError):
    """A line that is not a message, or a message that is not what the protocol says. One sentence."""


@dataclass(frozen=True)
class JobSettings:
    """What the artist chose. None means: what the preset says."""

    preset: str = "standard"
    normals: str = "network"
    device: str = "auto"
    raster: str = "auto"
    steps: int | None = None
    max_vertices: int | None = None
    smoothness: float | None = None  # weight of the Laplacian term; None: 0.2 predicted, 0.05 measured
    min_edge_mm: float | None = None  # shortest edge the remesher may aim for, in millimetres
    seed: int = 0
    match: bool | None = None  # move the mesh to where the photographs agree; None: if the normals are predicted
    refine_cameras: bool | None = None  # correct small errors of the cameras; None: where photographs contradict them
    texture: int | None = None  # texels of the albedo map's side; None: no map is made
    wrap: str = ""  # a template to lay on the head: hm08, hm08-body, ict, gnm or a file's path; none if empty
    stage: str = "mesh"  # how far to go; "normals" ends after the prediction, with maps and masks for a look

    def __post_init__(self) -> None:
        for name, allowed in (
            ("preset", PRESETS),
            ("normals", NORMAL_SOURCES),
            ("device", DEVICES),
            ("raster", RASTERISERS),
            ("stage", STAGES),
        ):
            if getattr(self, name) not in allowed:
                raise ProtocolError(f"{name} is '{getattr(self, name)}'; choose one of {', '.join(allowed)}.")
        for name, low, high in (
            ("steps", 1, 100_000),
            ("max_vertices", 500, 5_000_000),
            ("smoothness", 0.0, 10.0),
            ("min_edge_mm", 0.0, 1000.0),
            ("texture", 64, 16384),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ProtocolError(f"{name} is {value}; it must lie between {low} and {high}.")


@dataclass(frozen=True)
class Hello:
    """The first message of either side: who speaks, and which protocol."""

    protocol: int = PROTOCOL
    version: str = VERSION


@dataclass(frozen=True)
class Run:
    """Add-on to bridge: do a job."""

    id: str
    capture: str  # capture folder, or a capture*.json in it
    output: str  # folder of the job's files; made if absent
    settings: JobSettings = field(default_factory=JobSettings)


@dataclass(frozen=True)
class Finish:
    """Add-on to bridge: stop growing and write the head as it is."""

    id: str


@dataclass(frozen=True)
class Cancel:
    """Add-on to bridge: stop, nothing is wanted any more."""

    id: str


@dataclass(frozen=True)
class Shutdown:
    """Add-on to bridge: leave."""


@dataclass(frozen=True)
class Status:
    """Bridge to add-on: what is being done, in words."""

    id: str
    text: str


@dataclass(frozen=True)
class Progress:
    """Bridge to add-on: how far the job is, 0..1, and how long it will still take."""

    id: str
    stage: str  # a verb for the artist: "Reading photos", "Predicting normals", "Carving the head", "Measuring"
    done: int
    total: int
    fraction: float  # of the whole job, 0 to 1, never falls
    eta_s: float | None = None  # of the whole job


@dataclass(frozen=True)
class Preview:
    """Bridge to add-on: the file of the surface as it is now."""

    id: str
    path: str  # .npz: vertices [V, 3] float32 in the capture's world, faces [F, 3] int32


@dataclass(frozen=True)
class Warning:
    """Bridge to add-on: something the artist should know; the job goes on."""

    id: str
    code: str
    sentence: str
    cure: str = ""


@dataclass(frozen=True)
class Error:
    """Bridge to add-on: the job has failed, why, and what helps."""

    id: str
    code: str
    sentence: str
    cure: str = ""


@dataclass(frozen=True)
class Result:
    """The files of a finished job, all in its output folder.

    path: .npz with vertices [V, 3] float64 in the capture's world, faces [F, 3] int32 (outward, counter-clockwise),
    view_count [V] int32, confidence [V] float32 0..1, normal_error [V] float32 degrees (NaN where no view sees),
    expected_error [V] float32 world units (only where photographs were compared: half of such vertices lie nearer to
    the true surface) and color [V, 3] uint8 sRGB blended from the photographs (a dummy's result has none). The same
    mesh lies beside it under the same name as PLY. With stage "normals" path and report are both normals.json:
    {"provider": where they were computed, "views": [{"name", "normals": file name of the 16 bit camera-space map,
    "mask": of the 8 bit matte, "mask_given": bool, "head_pct": share of the image, "confidence": mean 0..1 or null}]};
    the picture is the contact sheet.
    """

    id: str
    path: str
    report: str  # report.json
    picture: str = ""  # report.png


@dataclass(frozen=True)
class Done:
    """Bridge to add-on: the job has ended, one way or the other."""

    id: str
    ok: bool


Message = Hello | Run | Finish | Cancel | Shutdown | Status | Progress | Preview | Warning | Error | Result | Done
_BY_TYPE: dict[str, type] = {cls.__name__.lower(): cls for cls in typing.get_args(Message)}


def encode(message: Message) -> str:
    """The message as one line, newline included. Non-finite numbers are refused: JSON has none."""
    body = {"type": type(message).__name__.lower(), **dataclasses.asdict(message)}
    return json.dumps(body, ensure_ascii=False, allow_nan=False) + "\n"


def decode(line: str) -> Message:
    """The message of one line. Raises ProtocolError with one sentence that quotes the line's start."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:  # of a line of a thousand brackets
        raise ProtocolError(f"This line is not JSON: {line.strip()[:80]!r}.") from error
    if not isinstance(body, dict) or body.get("type") not in _BY_TYPE:
        raise ProtocolError(f"This line is no message of the protocol: {line.strip()[:80]!r}.")
    return record_from(_BY_TYPE[body.pop("type")], body)


def record_from(cls: typing.Any, body: object) -> typing.Any:
    """A dataclass from plain JSON data. Unknown keys, missing keys and wrong types are refused by name."""
    name = cls.__name__
    if not isinstance(body, dict):
        raise ProtocolError(f"{name} must be an object, not {type(body).__name__}.")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(body) - set(hints))
    if unknown:
        raise ProtocolError(f"{name} has the unknown field '{unknown[0]}'.")
    values = {}
    for item in dataclasses.fields(cls):
        if item.name in body:
            values[item.name] = _value_from(f"{name}.{item.name}", hints[item.name], body[item.name])
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise ProtocolError(f"{name} lacks the field '{item.name}'.")
    return cls(**values)


def _value_from(where: str, hint: typing.Any, value: object) -> object:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if dataclasses.is_dataclass(option):
            return record_from(option, value)
        if option is float and type(value) in (int, float):
            return float(typing.cast(float, value))
        if type(value) is option:  # exact: True is no int here
            return value
    wanted = " or ".join("nothing" if option is type(None) else option.__name__ for option in options)
    raise ProtocolError(f"{where} must be {wanted}, not {type(value).__name__}.")


def check_hello(theirs: Message, who: str) -> None:
    """Refuse a peer of another protocol. who: 'bridge' or 'add-on', the peer's name in the sentence."""
    if not isinstance(theirs, Hello):
        raise ProtocolError(f"The {who} did not say hello first.")
    if theirs.protocol != PROTOCOL:
        raise ProtocolError(
            f"The {who} speaks protocol {theirs.protocol} (version {theirs.version}), this side speaks {PROTOCOL} "
            f"(version {VERSION}): update both to the same version."
        )
