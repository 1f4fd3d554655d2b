"""Prepare GPUs for trials: check support and fitness, set visibility, warm up.

`gpu_support` refuses unsupported cards and drivers. `device_fitness` checks GPUs before each trial.
"""
