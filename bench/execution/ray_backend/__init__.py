"""Run trials on Ray: a pool of blocks, and holders of devices for each.

Start at `process.ray_process.RayProcess`, which keeps Ray in a separate process; in it runs
`ray_executor.RayExecutor`. Only `ray_compat` uses private parts of Ray.
"""
