"""Compare arms with each other within blocks.

Start at `compare.compare`, which makes every comparison that a suite lists.
"""
