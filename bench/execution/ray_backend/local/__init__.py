"""A Ray on this machine for one run: its limits, folder, token, start and end.

Start at `local_ray.local_ray`.
"""
