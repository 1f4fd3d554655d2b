"""The blocks of a plan on their devices, and the data that their trials share.

Start at `block_pool.BlockPool`; `block_runner.BlockRunner` runs one block.
"""
