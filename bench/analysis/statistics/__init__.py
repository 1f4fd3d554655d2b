"""Estimators and their confidence intervals, each with its source.

Start at `intervals`: means, ratios and their intervals.
"""
