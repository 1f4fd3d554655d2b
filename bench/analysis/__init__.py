"""Turn the records of a run into data frames, paired comparisons and a summary.

summary > questions > comparison > loading > statistics: each imports only what is right of it.

Start at `summary.summarize`, or at `loading.data_frames` for the frames. Importing these modules
loads pandas; importing this package does not.
"""
