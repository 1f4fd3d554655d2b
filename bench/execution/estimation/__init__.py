"""Estimate the time and the memory that trials will need, before they run.

Start at `estimator.make_estimator`, which uses times of earlier runs, or else the device's rates.
`device_memory.memory_need` adds up a variant's memory.
"""
