"""Let the arms of a block take turns, so that one trains while the others wait.

Start at `coordinator.run_block`. Nothing here imports Ray or TensorFlow.
"""
