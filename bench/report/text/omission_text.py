"""Say what a chart, a list or a page leaves out, and where to find all of it.

Usage:
    omission_note(omitted(300, 421, "variants are drawn"), elsewhere="summary.csv has all")
    # "300 of 421 variants are drawn: summary.csv has all."
"""


def omission_note(*omissions: str, elsewhere: str) -> str:
    """Return the note on these omissions, without those that are ""; "" if nothing is omitted."""
    parts = "; ".join(filter(None, omissions))
    return parts and f"{parts}: {elsewhere}."


def omitted(shown: int, count: int, what: str) -> str:
    """Return how many of ``count`` are ``shown``, or "" if all are."""
    return f"{shown:,} of {count:,} {what}" if shown < count else ""
