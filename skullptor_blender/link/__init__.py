"""The way to the bridge: processes, jobs, set-up, what is checked before a run. No bpy in here."""
