"""What a run asks of Ray about GPUs: inspect those of each node, hold unfit ones, warm up the rest.

Start at `gpu_quarantine.GpuQuarantine` and `warm_up.warm_up`. What a GPU is fit for, without Ray,
is in `bench.execution.gpus`.
"""
