"""Which block runs next, and on which nodes. No Ray here.

`scheduler.Scheduler` starts jobs of its `queue`; `bin_packing` chooses their nodes.
"""
