"""The holders of a block's devices, and the workers of its trials in them.

Start at `holder.Holder`, the process itself; `holders.Holders` is the driver's side.
`worker_failure` decides which status a dead holder gives its trials.
"""
