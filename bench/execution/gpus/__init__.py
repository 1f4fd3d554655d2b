"""Prepare GPUs for trials: check support and fitness, set visibility, warm up.

`gpu_support` refuses unsupported cards and drivers. `gpu_fitness` checks GPUs before each trial.
"""
