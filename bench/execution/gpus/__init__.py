"""The devices of one machine, without Ray: kind, support, fitness, visibility, caches, locks.

Start at `gpu_support`, which refuses unsupported cards and drivers, and `gpu_fitness`, which checks
GPUs before each trial.
"""
