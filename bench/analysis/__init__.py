"""From records to numbers: data frames, paired comparisons, and a summary of a run.

Importing it loads neither pandas nor scipy; calling it does.
"""
