"""Questions that a run answers: costs, scaling, the large-data claim, what to run next.

Each module answers one from a summary's data frames.
"""
