"""Make a run public: keep only the fields that ``public_fields`` lists, in the shapes it defines.

Usage:
    names = Pseudonyms()
    info = public_info(names, info)              # plain data in, plain data out
    records = [public_record(names, record) for record in records]

This is an allow list: what is not known to be public is left out. The suite's own words (name,
description, labels, values of its axes) and the remark are published as their author wrote them.
Hosts are numbered in the order in which the run names them. Measured values do not change.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from bench.records.pseudonyms import Pseudonyms
from bench.records.public_fields import (
    ENVIRONMENT,
    ENVIRONMENT_TABLE,
    EXECUTOR,
    LEFT_OUT,
    RECORD,
    WARNINGS,
)
from bench.records.public_values import (
    MOMENT,
    command,
    fields,
    node,
    number,
    reason,
    suite_text,
    table,
)
from bench.spec.axes import AXES
from bench.spec.suite import shipped_suites

_Plain = Mapping[str, Any]

OPTIONS = frozenset(
    {
        *("--out", "--resume", "--address", "--cluster", "--device", "--executor", "--blocks"),
        *("--retries", "--network", "--prune-oom", "--set", "--only", "--json", "--debug"),
        *("--until", "--max-time"),
    }
)
"""Options of ``bench run``. An option that is missing here is published as "HIDDEN"."""
_WORDS = frozenset({"auto", "cpu", "gpu", "ray", "inprocess", "simulated"})

_DUPLICATE = fields(
    label=suite_text,
    same_as=suite_text,
    without_effect=table(re.compile("|".join(AXES)), lambda _: reason),
)

TRIAL_ID = re.compile(r"b(?P<block>\d{3,6})-(?P<variant_id>[0-9a-f]{10})(-part\d{1,6})?")
"""A trial id as a plan makes it, from a block's number, a hash and perhaps a part's number."""


def public_info(names: Pseudonyms, info: _Plain) -> dict[str, Any]:
    """Return the public part of ``run.json``."""
    variants = {match["variant_id"] for i in info["trial_ids"] if (match := TRIAL_ID.fullmatch(i))}
    call = fields(
        started_at=MOMENT,
        command=command(_suite_words(info), OPTIONS),
        executor=EXECUTOR,
        environment=_environments,
        wall_s=number,
        lanes=number,
        left_out=LEFT_OUT,
        warnings=WARNINGS,
    )
    return {
        "schema_version": info["schema_version"],
        "suite": _public_suite(names, info["suite"]),
        "defaults_for": info.get("defaults_for"),
        "pairs": [pair for pair in info["pairs"] if _is_of(pair, variants)],
        "trial_ids": info["trial_ids"],
        "labels": {key: label for key, label in info["labels"].items() if key in variants},
        "duplicates": [
            {**_DUPLICATE(names, one), "variant_id": one["variant_id"]}
            for one in info.get("duplicates", ())
            if one["variant_id"] in variants
        ],
        "invocations": [call(names, one) for one in info["invocations"]],
        "remark": info["remark"],
        "stopping": _public_stopping(info.get("stopping"), variants),
    }


def public_record(names: Pseudonyms, record: _Plain, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the public part of a record; ``labels`` are the suite's, by variant."""
    public: dict[str, Any] = RECORD(names, record)
    variant_id = public["trial"]["trial_id"].split("-")[1]
    public["trial"] |= {"variant_id": variant_id, "label": labels.get(variant_id, variant_id)}
    return public


def _public_stopping(stopping: _Plain | None, variants: Collection[str]) -> dict[str, Any] | None:
    """Return the last look of a run that made one; all of it is numbers, but for the pairs."""
    if stopping is None:
        return None
    left_out, widest = stopping["left_out"], stopping["widest_pair"]
    known = {
        "left_out": [pair for pair in left_out if _is_of(pair, variants)],
        "widest_pair": widest if widest and _is_of(widest, variants) else None,
    }
    return {**stopping, **known}


def _public_suite(names: Pseudonyms, suite: _Plain) -> dict[str, Any]:
    """Return a suite in its author's words, without paths, commands and values of variables."""
    tables = suite.get("environments") or {}
    public = {name: ENVIRONMENT_TABLE(names, settings) for name, settings in tables.items()}
    return {**suite, "environments": public} if public else {**suite}


def _is_of(pair: _Plain, variants: Collection[str]) -> bool:
    return {pair["variant_id"], pair["baseline_id"]} <= {*variants}


def _environments(names: Pseudonyms, value: Mapping[str, Any]) -> dict[str, Any]:
    return {node(names, host): ENVIRONMENT(names, machine) for host, machine in value.items()}


def _suite_words(info: _Plain) -> Iterator[str]:
    suite = info["suite"]
    yield from itertools.chain(_WORDS, shipped_suites(), info["labels"], info["labels"].values())
    yield from (suite["name"], f"{suite['name']}.toml")
    for key, values in _settings(suite):
        for value in values:
            # As Python writes a list, and as people type it.
            for text in (str(value), str(value).replace(" ", "")):
                yield f"{key}={text}"
                yield f"variant.{key}={text}"


def _settings(suite: _Plain) -> Iterator[tuple[str, list[Any]]]:
    """Yield each key of a suite and of its tables of settings, with its values there."""
    for key, value in suite.items():
        if isinstance(value, dict):
            yield from ((k, [*(v if isinstance(v, list) else []), v]) for k, v in value.items())
        elif not isinstance(value, list):
            yield key, [value]
