"""Estimators and their intervals, each with its source.

`paired` has the ratio of two arms and its interval.
"""
