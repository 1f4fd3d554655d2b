"""Read the records of a run into arrays and data frames.

Start at `data_frames.load_trials`.
"""
