"""A run as others may read it: its tables, and all that they are recomputed from.

Usage:
    folder = publish(Path("results/runs/quick-1"), "quick", Path("results/published"))

A published folder is a run folder that says nothing of people, hosts and places: ``run.json``, the
records in one file, and all that is made from these: suite, tables, report, charts and page. None
of that is ever edited: ``verify`` makes it anew.
"""

import json
import os
from pathlib import Path
from typing import Any

import tomli_w

from bench.analysis.frame import write_tables
from bench.errors import ResourceError, RunFolderError, UsageError
from bench.files.exchange import recover, replacement
from bench.files.folder import Folder
from bench.records.anonymous import TRIAL_ID, public_info, public_record
from bench.records.disk import disk_errors, write_aside
from bench.records.pseudonyms import Pseudonyms
from bench.records.read import RESTORE
from bench.records.store import RunFolder
from bench.report.charts.drawer import Drawer
from bench.report.charts.reported import read_run
from bench.report.index import entries, write_indexes
from bench.report.page.write import write_page
from bench.report.write import write_summary

GIVEN = ("run.json", "records.jsonl")
"""What the rest is made from."""


def publish(run: Path, name: str, place: Path, *, replace: bool = False, remark: str = "") -> Path:
    """Write ``run`` to ``place/name`` and return that folder; ``remark`` stands at its top.

    Raises RunFolderError where ``run`` is no finished run or another folder of ``place`` is
    damaged, UsageError where ``name`` is no name of a folder, ResourceError where it is taken and
    not to be replaced or another process publishes there, StorageError where the disk is full or
    not writable. However it ends, ``place/name`` is the old folder or all of the new one.
    """
    if Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise UsageError(f"{name!r} is not the name of a folder: use letters, digits and dashes")
    recover(place)
    source, target = RunFolder.open(run), place / name
    if os.path.lexists(target):
        if target.is_symlink() or not target.is_dir():
            raise ResourceError(f"{target}: is not a folder: choose another name")
        if not replace:
            raise ResourceError(f"{target}: already there: choose another name, or give --replace")
    entries(place, but=name)  # else the lists could not be made once the folder is there
    check(source)
    records = list(source.raw_records(all_attempts=True))
    _refuse_unfinished(source, records)
    stored = source.info()
    remarked = stored.model_copy(update={"remark": remark or stored.remark})
    info = remarked.model_dump(mode="json")
    names = Pseudonyms()
    public = public_info(names, info)
    # Last attempts after earlier ones, in planned order, whatever the files were called.
    order = {trial_id: number for number, trial_id in enumerate(info["trial_ids"])}
    records.sort(
        key=lambda r: (order.get(r["trial"]["trial_id"], len(order)), r["invocation"], r["attempt"])
    )
    with disk_errors(target):
        place.mkdir(parents=True, exist_ok=True)
        with replacement(place, name) as fresh:
            files = Folder(fresh)
            write_aside(files, "run.json", json.dumps(public, indent=1) + "\n")
            told = (public_record(names, record, public["labels"]) for record in records)
            lines = (json.dumps(record, sort_keys=True) + "\n" for record in told)
            write_aside(files, "records.jsonl", "".join(lines))
            made_from(fresh)
        write_indexes(place)
    return target


def check(run: RunFolder) -> None:
    """RunFolderError, naming the file, where anything in ``run`` is not what it should be."""
    run.suite()
    for trial_id in run.info().trial_ids:
        if not TRIAL_ID.fullmatch(trial_id):
            raise RunFolderError(
                f"{run.path / 'run.json'}: trial_ids: {trial_id} is none: {RESTORE}"
            )
    for _ in run.records(all_attempts=True):
        pass


def made_from(folder: Path) -> list[Path]:
    """Write into ``folder`` all that its run.json and records.jsonl give; the paths written."""
    run_folder = RunFolder.open(folder)
    toml = tomli_w.dumps(_without_nothing(run_folder.info().suite))
    suite = write_aside(run_folder.files, "suite.toml", toml)
    tables = write_tables(run_folder)
    for path in tables:
        if path.suffix == ".parquet":  # the same again, and not the same bytes everywhere
            path.unlink()
    kept = [path for path in tables if path.suffix != ".parquet"]
    run = read_run(folder)
    with Drawer() as drawer:
        return [
            suite,
            *kept,
            *write_summary(run.summary, run_folder.files),
            *write_page([run], run_folder.files, drawer),
        ]


def _without_nothing(value: Any) -> Any:
    """TOML has no null; what is empty is what is not said."""
    if isinstance(value, dict):
        inner = {key: _without_nothing(v) for key, v in value.items()}
        return {key: v for key, v in inner.items() if v not in (None, [], {})}
    return [_without_nothing(v) for v in value] if isinstance(value, list) else value


def _refuse_unfinished(source: RunFolder, records: list[dict[str, Any]]) -> None:
    ended = {r["trial"]["trial_id"] for r in records if r["status"] != "interrupted"}
    planned = source.info().trial_ids
    left = [trial_id for trial_id in planned if trial_id not in ended]
    if left:
        raise RunFolderError(
            f"{source.path}: {len(left)} of {len(planned)} trials have not ended: "
            "finish the run by --resume, then publish it"
        )
