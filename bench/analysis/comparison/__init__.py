"""Arms compared with each other, within blocks.

`compare.compare` makes every comparison that a suite asks for.
"""
