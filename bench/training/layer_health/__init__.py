"""A look at every layer between epochs, outside their time.

`layer_health.Health.look` takes it.
"""
