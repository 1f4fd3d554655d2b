"""Train each trial in a separate process, which ends with the process that started it.

`preloader` imports TensorFlow once and starts the processes, `child` trains one trial in one of
them. They speak the messages of `bench.protocol`; `bench/execution/trial_processes` is their peer.
"""
