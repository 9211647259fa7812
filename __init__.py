"""The extension's root, as Blender loads it. Imports stay inside the functions: tests import it without bpy."""


def register():
    """Called by Blender when the extension is switched on."""
    from . import skullptor_blender

    skullptor_blender.register()


def unregister():
    """Called by Blender when the extension is switched off."""
    from . import skullptor_blender

    skullptor_blender.unregister()
