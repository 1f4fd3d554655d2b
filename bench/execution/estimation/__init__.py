"""Estimate how long trials will take before they run.

`estimator.make_estimator` uses times from earlier runs, or else the device's rates.
"""
