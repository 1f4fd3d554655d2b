"""The part of a suite's text that trains a very small net for one epoch."""

SMALL_VARIANT = """
[variant]
dataset = "synthetic"
shape = [8, 8, 1]
classes = 4
examples = 512
hidden = [8]
epochs = 1
jit = "none"
"""
