import bpy

settings = bpy.context.scene.skullptor

settings.preset = "fine"
settings.use_max_vertices = False
settings.use_steps = False
settings.use_smoothness = False
