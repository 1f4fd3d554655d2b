"""Run trials on Ray: a pool of blocks, and a worker group for each trial.

`ray_process.RayProcess` keeps Ray in a separate process, in which `ray_executor.RayExecutor` runs.
Ray's private parts are used only in `ray_compat`.
"""
