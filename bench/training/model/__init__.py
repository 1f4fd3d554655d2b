"""The networks and their layers, built from a variant.

`models.build_model` builds a network; `custom_model` calls a user's own function.
"""
