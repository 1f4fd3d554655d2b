"""How long trials will take, before they run.

`estimator.estimator_for` uses what earlier runs measured, else rates of the device.
"""
