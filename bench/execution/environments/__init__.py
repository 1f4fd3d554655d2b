"""Prepare a suite's environments before anything starts, and remove what that made.

Start at `prepare.prepared_environments`. Nothing here imports Ray or TensorFlow.
"""
