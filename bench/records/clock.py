"""Tell the calendar time for records. Durations come from ``time.perf_counter`` instead."""

import datetime


def utc_now() -> str:
    """Return the current time in UTC as ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
