"""GPUs as trials need them: supported, fit, visible, free, warmed up.

`gpu_support` refuses cards and drivers; `device_fitness` looks before each trial.
"""
