"""Hold the processes in which trials train: `preloader_client` starts them.

The messages are those of `bench.protocol`, the other end is `bench/training/trial_process`.
"""
