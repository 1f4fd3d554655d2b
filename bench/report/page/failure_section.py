"""Group the attempts that did not complete, with the reason and the end of a log.

Usage:
    for failure in failures(run): ...
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.report.charts.report_data import ReportData
from bench.report.page.trial_section import LOG_CHARACTERS
from bench.report.text.omission_text import omission_note, omitted

MAX_GROUPS, MAX_NAMED = 100, 5


@dataclass(frozen=True)
class Failure:
    """Attempts of one variant that ended with the same status and reason."""

    status: str
    label: str
    reason: str
    count: int
    blocks: str
    log_tail: str
    """The end of the first log in the group."""
    replaced: int
    """How many of the attempts a later attempt replaced."""


def failures(run: ReportData) -> Iterator[Failure]:
    """Return at most ``MAX_GROUPS`` groups, in planned order, from all attempts."""
    failed = run.attempts[run.attempts["status"] != "completed"]
    last = set(zip(run.trials["trial_id"], run.trials["attempt"], strict=True))
    groups = failed.groupby(["variant_id", "status", "error"], sort=False, dropna=False)
    for number, (key, rows) in enumerate(groups):
        if number == MAX_GROUPS:
            return
        logs = rows["log_tail"].dropna()
        blocks = [str(block) for block in rows["block"].unique()]
        more = f" and {len(blocks) - MAX_NAMED} more" if len(blocks) > MAX_NAMED else ""
        ids = zip(rows["trial_id"], rows["attempt"], strict=True)
        yield Failure(
            status=str(rows["status"].iloc[0]).replace("_", " "),
            label=str(rows["label"].iloc[0]),
            reason=str(key[2]) if isinstance(key[2], str) else "no reason was recorded",
            count=len(rows),
            blocks=", ".join(blocks[:MAX_NAMED]) + more,
            log_tail=str(logs.iloc[0])[-LOG_CHARACTERS:] if len(logs) else "",
            replaced=sum(attempt not in last for attempt in ids),
        )


def failures_omission_note(run: ReportData) -> str:
    """Return how many groups ``failures`` leaves out; "" if none."""
    failed = run.attempts[run.attempts["status"] != "completed"]
    count = failed.groupby(["variant_id", "status", "error"], dropna=False).ngroups
    listed = omitted(min(count, MAX_GROUPS), count, "kinds are listed")
    return omission_note(listed, elsewhere="trials.csv has all")
