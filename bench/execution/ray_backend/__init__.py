"""Run trials on Ray: a pool of blocks, and a worker group for each trial.

`ray_process.RayProcess` keeps Ray in a separate process, in which `ray_executor.RayExecutor` runs.
`ray_compat` holds the private parts of Ray that these modules use.
"""
