"""Workloads of the user's own: found and checked before anything starts.

Call `workload_check.check_workloads`; nothing here imports the user's code.
"""
