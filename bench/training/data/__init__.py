"""How training examples reach a step: order, storage, streaming, augmentation.

`pipeline.make_feed` makes the feed that a variant names.
"""
