"""Charts of a run: one Altair specification each, for files and for the interactive page."""
