"""The calendar time of a record. Durations come from ``time.perf_counter``, never from here."""

import datetime


def utc_now() -> str:
    """Now, in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
