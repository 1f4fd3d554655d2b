"""Decide which block runs next, and on which nodes. Nothing here imports Ray.

`scheduler.Scheduler` starts jobs of its `queue`; `bin_packing` chooses their nodes.
"""
