"""The training loop of every variant: a compiled epoch of training steps.

`compiled_epoch.CompiledEpoch` runs epochs. `compiled_window` compiles their windows as loops over
`training_step.TrainingStep`, and `epoch_windows` runs and times them.
"""
