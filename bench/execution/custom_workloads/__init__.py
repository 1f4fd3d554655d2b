"""Find and check custom workloads before anything starts.

Start at `workload_check.check_workloads`. Nothing here imports the user's code.
"""
