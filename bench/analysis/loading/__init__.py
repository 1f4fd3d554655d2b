"""Records as arrays and data frames.

`data_frames.load_trials` is the door.
"""
