"""The extension's root, as Blender loads it. Imports stay inside the functions: tests import it without bpy."""


def register():
    from . import skullptor_blender

    skullptor_blender.register()


def unregister():
    from . import skullptor_blender

    skullptor_blender.unregister()
