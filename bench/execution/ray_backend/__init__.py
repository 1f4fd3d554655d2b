"""Run trials on Ray: a pool of blocks, and a worker group for each trial.

Start at `process.ray_process.RayProcess`, which keeps Ray in a separate process; in it runs
`ray_executor.RayExecutor`. Only `ray_compat` uses private parts of Ray.
"""
