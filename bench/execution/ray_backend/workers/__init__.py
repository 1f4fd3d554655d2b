"""The worker processes of a trial: start, ports, logs, progress, records, failures.

Start at `worker_group.WorkerGroup`; `worker.Worker` is the process itself. `worker_failure` decides
which status a dead worker gives its trial.
"""
