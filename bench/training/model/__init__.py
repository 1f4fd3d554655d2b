"""The networks and their layers, as a variant asks for them.

`models.build_model` builds one; `custom_model` calls a user's own.
"""
