"""Which stages take part in a run: questions to its settings."""

from __future__ import annotations

from ..mesh.environment import compiled
from ..service.protocol import JobSettings


def for_mesh(settings: JobSettings) -> bool:
    """Whether a head is wanted."""
    return settings.stage == "mesh"


def for_maps(settings: JobSettings) -> bool:
    """Whether only the normal maps are wanted."""
    return settings.stage == "normals"


def always(settings: JobSettings) -> bool:
    """Every job."""
    return True


def preparing(settings: JobSettings) -> bool:
    """Whether the solver is needed and was never compiled on this machine."""
    return for_mesh(settings) and not compiled()


def refining(settings: JobSettings) -> bool:
    """Whether the cameras may be refined: always, or where the photographs contradict them."""
    return for_mesh(settings) and settings.refine_cameras is not False


def measured(settings: JobSettings) -> bool:
    """Whether the capture brings its normal maps."""
    return settings.normals == "measured"


def predicted(settings: JobSettings) -> bool:
    """Whether a network makes the normal maps."""
    return not measured(settings)


def carving_predicted(settings: JobSettings) -> bool:
    """Whether a head is carved from normal maps that a network made."""
    return for_mesh(settings) and predicted(settings)


def matching(settings: JobSettings) -> bool:
    """Whether the photographs are to be matched on the surface."""
    return for_mesh(settings) and (predicted(settings) if settings.match is None else settings.match)


def texturing(settings: JobSettings) -> bool:
    """Whether texture maps are wanted."""
    return for_mesh(settings) and settings.texture is not None


def wrapping(settings: JobSettings) -> bool:
    """Whether a template is to be wrapped onto the head."""
    return for_mesh(settings) and bool(settings.wrap)
