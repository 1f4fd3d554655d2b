"""Estimators and their confidence intervals, each with its source.

Start at `paired`: the ratio of two arms and its interval.
"""
