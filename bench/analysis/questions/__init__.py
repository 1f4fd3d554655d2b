"""Answer the questions of a report: cost, scaling, the large-data claim, what to run next.

Each module answers one question from the data frames of a run.
"""
