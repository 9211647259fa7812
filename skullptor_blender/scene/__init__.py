"""The only readers and writers of bpy.data: cameras, photographs, results in the scene."""
