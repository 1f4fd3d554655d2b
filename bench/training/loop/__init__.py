"""The compiled epoch: one training loop for every variant.

`compiled_epoch.CompiledEpoch` compiles `training_step` and times it.
"""
