"""Publish a run: its records without private data, and everything that is computed from them.

Usage:
    folder = publish(Path("results/runs/quick-1"), "quick", Path("results/published"))

A published folder is a run folder that names no people, hosts or paths. It has ``run.json``, the
records in one file, and everything that is written from these two: suite, tables, report, charts,
page and the page's data. Nobody edits these files: ``bench verify-published`` writes them again and
compares.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from bench.analysis.loading.run_frames import read_frames, write_tables
from bench.errors import ResourceError, RunFolderError, UsageError
from bench.files.folder import Folder
from bench.files.folder_exchange import recover_folder, replaced_folder
from bench.records.anonymize import TRIAL_ID, public_info, public_record
from bench.records.atomic_write import disk_errors, write_atomically
from bench.records.pseudonyms import Pseudonyms
from bench.records.read_records import RESTORE
from bench.records.run_folder import RunFolder
from bench.report.charts.render_process import RenderProcess
from bench.report.charts.report_data import report_data
from bench.report.page.write_page import write_page
from bench.report.publishing.published_index import index_entries, write_indexes
from bench.report.summary_files import write_summary

SOURCE_FILES = ("run.json", "records.jsonl")
"""The files from which all others of a published folder are written."""


def publish(
    run: Path, name: str, destination: Path, *, replace: bool = False, remark: str = ""
) -> Path:
    """Write ``run`` to the folder ``destination/name`` and return its path.

    The report shows ``remark`` above its table; without one, the run keeps the remark it has.
    However this ends, ``destination/name`` is either the old folder or the complete new one.

    Raises:
        RunFolderError: ``run`` is not a run folder, some of its trials have not finished, or
            another folder of ``destination`` is damaged.
        UsageError: ``name`` is not the name of a folder.
        ResourceError: The folder exists and ``replace`` is false, or another process publishes
            to ``destination``.
        StorageError: The disk is full or not writable.
    """
    if Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise UsageError(f"{name!r} is not the name of a folder: use letters, digits and dashes")
    recover_folder(destination)
    source, target = RunFolder.open(run), destination / name
    _check_target(target, replace)
    index_entries(
        destination, exclude=name
    )  # fail before publishing if the lists cannot be written
    check_run(source)
    records = list(source.raw_records(all_attempts=True))
    _check_finished(source, records)
    with disk_errors(target):
        destination.mkdir(parents=True, exist_ok=True)
        with replaced_folder(destination, name) as fresh:
            _write_source_files(fresh, source, records, remark)
            write_derived_files(fresh)
        write_indexes(destination)
    return target


def check_run(run: RunFolder) -> None:
    """Raise RunFolderError, with the file's name, if anything in ``run`` is invalid."""
    run.suite()
    for trial_id in run.info().trial_ids:
        if not TRIAL_ID.fullmatch(trial_id):
            raise RunFolderError(
                f"{run.path / 'run.json'}: trial_ids: {trial_id} is not a trial id: {RESTORE}"
            )
    for _ in run.records(all_attempts=True):
        pass


def write_derived_files(folder: Path) -> list[Path]:
    """Write into ``folder`` all files that its ``SOURCE_FILES`` give, and return their paths."""
    run_folder = RunFolder.open(folder)
    toml = tomli_w.dumps(_without_empty(run_folder.info().suite))
    suite = write_atomically(run_folder.files, "suite.toml", toml)
    frames = read_frames(run_folder)
    # A Parquet file has the same content as the CSV, but its bytes depend on the machine.
    tables = write_tables(frames, ["csv"])
    run = report_data(frames)
    with RenderProcess() as renderer:
        return [
            suite,
            *tables,
            *write_summary(run.summary, run_folder.files),
            *write_page([run], run_folder.files, renderer, with_data=True),
        ]


def _check_target(target: Path, replace: bool) -> None:
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise ResourceError(f"{target}: is not a folder: choose another name")
    if not replace:
        raise ResourceError(f"{target}: already exists: choose another name, or add --replace")


def _check_finished(source: RunFolder, records: list[dict[str, Any]]) -> None:
    finished = {r["trial"]["trial_id"] for r in records if r["status"] != "interrupted"}
    planned = source.info().trial_ids
    unfinished = [trial_id for trial_id in planned if trial_id not in finished]
    if unfinished:
        raise RunFolderError(
            f"{source.path}: {len(unfinished)} of {len(planned)} trials have not finished: "
            "finish the run with --resume, then publish it"
        )


def _write_source_files(
    folder: Path, source: RunFolder, records: list[dict[str, Any]], remark: str
) -> None:
    """Write run.json and the records without private data, in an order that files do not affect.

    Last attempts come after earlier ones, in the order of the plan.
    """
    stored = source.info()
    info = stored.model_copy(update={"remark": remark or stored.remark}).model_dump(mode="json")
    names = Pseudonyms()
    public = public_info(names, info)
    order = {trial_id: number for number, trial_id in enumerate(info["trial_ids"])}

    def position(record: dict[str, Any]) -> tuple[int, int, int]:
        planned = order.get(record["trial"]["trial_id"], len(order))
        return planned, record["invocation"], record["attempt"]

    def lines() -> Iterator[str]:
        for record in sorted(records, key=position):
            public_fields = public_record(names, record, public["labels"])
            yield json.dumps(public_fields, sort_keys=True) + "\n"

    files = Folder(folder)
    write_atomically(files, "run.json", json.dumps(public, indent=1) + "\n")
    write_atomically(files, "records.jsonl", "".join(lines()))


def _without_empty(value: Any) -> Any:
    """Return ``value`` without null and empty entries: TOML has no null, and defaults are empty."""
    if isinstance(value, dict):
        entries = {key: _without_empty(v) for key, v in value.items()}
        return {key: v for key, v in entries.items() if v not in (None, [], {})}
    return [_without_empty(v) for v in value] if isinstance(value, list) else value
