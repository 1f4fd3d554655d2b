"""Fetch Fashion-MNIST if no folder has it: download it, otherwise unpack Debian's package.

New files are checked before they replace others, then renamed into place one by one. A lock lets
one process fetch while others wait.

Usage:
    folder = fetch()                 # a folder with a complete, checked copy
    for check in verify(): ...       # every file of every folder
"""

import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock, Timeout

from bench.datasets.data_folders import cache, data_folders
from bench.datasets.fashion_mnist import FILES, DataFolder, FileCheck, FolderContent, read_folder
from bench.errors import DatasetError
from bench.files.disk_space import NO_SPACE, storage_problem
from bench.files.user_path import user_path

_MIRROR = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
"""The server that ``keras.datasets.fashion_mnist`` uses. Keras's own download code needs
TensorFlow, has no timeout and checks nothing."""
_DEBIAN_PACKAGE = "dataset-fashion-mnist"
_STAGING = ".fetching-"
_NETWORK_TIMEOUT_S = 5
_COMMAND_TIMEOUT_S = 300
_LOCK_TIMEOUT_S = 900
_REMEDY = (
    "run bench data fetch on a machine with network access, or put the four files in a folder "
    "and name it in BENCH_DATA_DIR"
)


def fetch(folder: Path | None = None, force: bool = False) -> Path:
    """Return a folder with a complete, checked Fashion-MNIST; fetch it if no folder has it.

    With ``folder``, put the dataset there, as a copy if another folder has it. With ``force``,
    search no folder and replace the cache, or ``folder``, once a new copy has been checked.
    Raises DatasetError, naming every folder and source, if none has the dataset.
    """
    target = DataFolder("the given folder", user_path(folder)) if folder else cache()
    if force:
        return _fill(target, _Search(), force=True).folder.path
    search = _search(folder)
    if search.content and folder is None:
        return search.content.folder.path
    return _fill(target, search).folder.path


def find_or_fetch(folder: Path | None = None) -> FolderContent:
    """Read the dataset from the first complete folder; if there is none, fetch it to the cache.

    ``folder`` is searched first and never written to. Raises DatasetError as ``fetch`` does.
    """
    search = _search(folder)
    return search.content or _fill(cache(), search)


def verify(folder: Path | None = None) -> list[FileCheck]:
    """Check every file in ``folder``; without ``folder``, in every folder that is searched.

    A folder that does not exist gives one check, of itself.
    """
    searched = (DataFolder("the given folder", user_path(folder)),) if folder else data_folders()
    return [check for each in searched for check in read_folder(each).checks]


@dataclass(frozen=True)
class _Search:
    """The content of the first complete folder, if any, and why those before it were rejected."""

    content: FolderContent | None = None
    problems: tuple[str, ...] = ()


def _search(folder: Path | None) -> _Search:
    problems: tuple[str, ...] = ()
    for candidate in data_folders(folder):
        content = read_folder(candidate)
        if content.complete:
            return _Search(content, problems)
        problems += (f"{candidate.name} {candidate.path} ({content.problem})",)
    return _Search(None, problems)


def _fill(target: DataFolder, search: _Search, force: bool = False) -> FolderContent:
    """Fill ``target`` under its lock; without ``force``, keep it if it is complete by then."""
    if search.content and search.content.folder.path == target.path:
        return search.content
    try:
        target.path.mkdir(parents=True, exist_ok=True)
        with FileLock(target.path / ".lock", timeout=_LOCK_TIMEOUT_S):
            content = read_folder(target)
            return content if content.complete and not force else _fetch_into(target, search)
    except Timeout:
        problem, remedy = f"locked by another process for {_LOCK_TIMEOUT_S} s", _REMEDY
    except OSError as error:
        problem = f"cannot be written: {storage_problem(target.path, error)}"
        remedy = f"or name a writable folder in BENCH_CACHE_DIR, or {_REMEDY}"
    raise _unavailable([*search.problems, f"{target.name} {target.path} ({problem})"], remedy)


def _fetch_into(target: DataFolder, search: _Search) -> FolderContent:
    # This process holds the lock, so these folders are from processes that were killed.
    for stale in target.path.glob(f"{_STAGING}*"):
        shutil.rmtree(stale, ignore_errors=True)
    sources = {"a copy": _copy_of(search.content)} if search.content else _SOURCES
    attempts = list(search.problems)
    for name, source in sources.items():
        with tempfile.TemporaryDirectory(dir=target.path, prefix=_STAGING) as staging:
            try:
                content = read_folder(DataFolder(name, source(Path(staging))))
                problem = content.problem
            except (OSError, HTTPException, subprocess.SubprocessError) as error:
                if isinstance(error, OSError) and error.errno in NO_SPACE:
                    raise  # another source would not find more space
                problem = _one_line(error)
            if not problem:
                return _move_into(content, target)
            attempts.append(f"{name} ({problem})")
    raise _unavailable(attempts, _REMEDY)


def _move_into(content: FolderContent, target: DataFolder) -> FolderContent:
    checks = []
    for check in content.checks:
        path = target.path / check.path.name
        check.path.replace(path)
        checks.append(FileCheck(path, target.name, True))
    return FolderContent(target, tuple(checks), content.values)


def _copy_of(content: FolderContent) -> Callable[[Path], Path]:
    def copy(staging: Path) -> Path:
        for check in content.checks:
            shutil.copyfile(check.path, staging / check.path.name)
        return staging

    return copy


def _download(staging: Path) -> Path:
    for file in FILES:
        name = f"{file.name}.gz"
        request = urllib.request.urlopen(f"{_MIRROR}/{name}", timeout=_NETWORK_TIMEOUT_S)
        with request as response:
            # The file is smaller than this; a longer one fails its check.
            (staging / name).write_bytes(response.read(file.size_bytes))
    return staging


def _debian_package(staging: Path) -> Path:
    """Download and unpack without root: apt uses private lists and cache, dpkg only unpacks."""
    lists, archives = staging / "lists", staging / "cache" / "archives"
    for folder in (lists, archives):
        (folder / "partial").mkdir(parents=True)
    apt = ["apt-get", "-q", "-o", f"Dir::Cache={staging / 'cache'}"]
    apt += ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]
    apt += ["-o", "Acquire::Retries=0", "-o", f"Acquire::http::Timeout={_NETWORK_TIMEOUT_S}"]
    apt += ["-o", f"Acquire::https::Timeout={_NETWORK_TIMEOUT_S}"]
    try:
        _run([*apt, "download", _DEBIAN_PACKAGE], staging)
    except subprocess.CalledProcessError:
        # The system's package lists are missing or outdated: fetch private ones.
        apt += ["-o", f"Dir::State::lists={lists}"]
        _run([*apt, "update"], staging)
        _run([*apt, "download", _DEBIAN_PACKAGE], staging)
    for package in staging.glob("*.deb"):
        _run(["dpkg", "-x", str(package), str(staging)], staging)
    return staging / "usr" / "share" / "datasets" / "fashion-mnist"


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=_COMMAND_TIMEOUT_S,
    )


_SOURCES: dict[str, Callable[[Path], Path]] = {
    "a download from Keras's mirror": _download,
    f"Debian's {_DEBIAN_PACKAGE} by apt-get": _debian_package,
}


def _unavailable(attempts: list[str], remedy: str) -> DatasetError:
    return DatasetError(f"Fashion-MNIST not found; tried {'; '.join(attempts)}: {remedy}")


def _one_line(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.splitlines()
        messages = [line for line in lines if line.startswith("E: ")] or lines
        last = messages[-1] if messages else f"exit code {error.returncode}"
        return " ".join(last.removeprefix("E: ").split())
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} not found"
    message = str(error).removeprefix("<urlopen error ").removesuffix(">")
    return " ".join(message.split())
