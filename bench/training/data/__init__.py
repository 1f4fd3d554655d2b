"""Training examples on their way to a step: order, storage, streaming, augmentation.

`pipeline.make_feed` returns the feed that a variant names.
"""
