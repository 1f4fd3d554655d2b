"""Trials on Ray: a pool of blocks, a worker group for each trial.

`ray_process.RayProcess` keeps Ray in a process of its own; `ray_executor.RayExecutor` runs in it.
"""
