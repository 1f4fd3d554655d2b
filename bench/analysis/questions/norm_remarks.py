"""Norms from which nothing can be learnt, and those that older records mean otherwise.

Usage:
    remarks = norm_remarks(done, raw.settings)
    remarks[variant_id].constant          # 2, of remarks[variant_id].norms
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.spec.norm_groups import FEWEST_VALUES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class NormRemark:
    """What is to be said of a variant's norms."""

    norms: int
    constant: int
    """Norms that leave nothing to learn from, each mean being of fewer than ``FEWEST_VALUES``."""
    older: str | None
    """layer or group where a record is from before such norms had more values: layer norm of
    images was then over the channels of each place, and a group could hold one value or a few."""


def norm_remarks(
    done: "pd.DataFrame", settings: Sequence[Mapping[str, Any]]
) -> dict[str, NormRemark]:
    """By variant, for those of which a trial in ``done`` gives reason for a remark.

    ``done`` has the columns "norm", "workload" and "settings", the place in ``settings`` of what
    each trial ran with.
    """
    columns = ["variant_id", "norm", "workload", "settings"]
    rows = done[columns].drop_duplicates().itertuples(index=False, name=None)
    found: dict[str, NormRemark] = {}
    for variant_id, norm, workload, code in rows:
        values = settings[code].get("norm_values")
        has_norms = bool(settings[code].get("norm_layers"))
        older = _older(norm, workload) if has_norms and values is None else None
        constant = sum(count < FEWEST_VALUES for count in values or ())
        if constant or older:
            found[variant_id] = NormRemark(len(values or ()), constant, older)
    return found


def _older(norm: str, workload: str) -> str | None:
    return norm if norm == "group" or (norm == "layer" and workload != "mlp") else None
