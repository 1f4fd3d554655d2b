"""Examine every layer between epochs, outside their time.

`layer_health.LayerHealth.examine` returns the record.
"""
