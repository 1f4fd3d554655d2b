"""The separate process in which Ray runs, and the pipe between it and the run.

Start at `ray_process.RayProcess`: both ends of the pipe. `process_reaper` ends what a killed run
leaves, and `ray_probe` is what the doctor starts.
"""
