"""Run a suite on a cluster that Ray's launcher starts.

`launch.launch` starts the cluster, runs the command there and fetches the results.
"""
