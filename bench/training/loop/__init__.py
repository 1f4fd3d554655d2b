"""The training loop of every variant: a compiled epoch of training steps.

`compiled_epoch.CompiledEpoch` compiles the loop over `training_step.TrainingStep` and times it.
"""
