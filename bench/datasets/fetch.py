"""Getting Fashion-MNIST where no place has it: a download, else Debian's package.

Whatever a source gives is checked before it replaces anything, and moved into place file by
file by renaming. A lock lets one process fetch while others wait and then find it done.

Usage:
    folder = fetch()                 # where a whole, checked copy is
    for check in verify(): ...       # each place, file by file
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

from bench.datasets.fashion_mnist import FILES, Content, FileCheck, Place, read_folder
from bench.datasets.places import cache, places
from bench.errors import DatasetError
from bench.files.disk_space import NO_SPACE, storage_problem
from bench.files.user_path import user_path

_MIRROR = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
"""Where ``keras.datasets.fashion_mnist`` downloads from; its own code would need TensorFlow,
has no time limit and checks nothing."""
_DEBIAN_PACKAGE = "dataset-fashion-mnist"
_STAGING = ".fetching-"
_NETWORK_TIMEOUT_S = 5
_COMMAND_TIMEOUT_S = 300
_LOCK_TIMEOUT_S = 900
_REMEDY = (
    "run bench data fetch where there is a network, or put the four files in a folder "
    "and name it in BENCH_DATA_DIR"
)


def fetch(folder: Path | None = None, force: bool = False) -> Path:
    """A folder with a whole, checked Fashion-MNIST; the data is got where it is nowhere.

    With ``folder``, the data set is put there, copied where another place has it. With
    ``force``, no place is looked at, and the cache, or ``folder``, is replaced once a new copy
    has been checked. Raises DatasetError where no place and no source has it, naming each.
    """
    target = Place("the given folder", user_path(folder)) if folder else cache()
    if force:
        return _into(target, _Search(), fresh=True).place.folder
    search = _search(folder)
    if search.found and folder is None:
        return search.found.place.folder
    return _into(target, search).place.folder


def obtain(folder: Path | None = None) -> Content:
    """The data set from the first place that has it whole, else fetched to the cache.

    ``folder`` is looked at first and never written to. Raises DatasetError as ``fetch`` does.
    """
    search = _search(folder)
    return search.found or _into(cache(), search)


def verify(folder: Path | None = None) -> list[FileCheck]:
    """Check every file in ``folder``, or in each place that is looked at without one.

    A place that is not there gives one check, of its folder.
    """
    where = (Place("the given folder", user_path(folder)),) if folder else places()
    return [check for place in where for check in read_folder(place).checks]


@dataclass(frozen=True)
class _Search:
    """What looking at every place came to."""

    found: Content | None = None
    problems: tuple[str, ...] = ()


def _search(folder: Path | None) -> _Search:
    problems: tuple[str, ...] = ()
    for place in places(folder):
        content = read_folder(place)
        if content.whole:
            return _Search(content, problems)
        problems += (f"{place.name} {place.folder} ({content.problem})",)
    return _Search(None, problems)


def _into(target: Place, search: _Search, fresh: bool = False) -> Content:
    """Fill ``target`` under its lock, unless it is whole by then and need not be ``fresh``."""
    if search.found and search.found.place.folder == target.folder:
        return search.found
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(target.folder / ".lock", timeout=_LOCK_TIMEOUT_S):
            present = read_folder(target)
            return present if present.whole and not fresh else _filled(target, search)
    except Timeout:
        problem, remedy = f"locked by another process for {_LOCK_TIMEOUT_S} s", _REMEDY
    except OSError as error:
        problem = f"cannot be written: {storage_problem(target.folder, error)}"
        remedy = f"or name a writable folder in BENCH_CACHE_DIR, or {_REMEDY}"
    raise _nowhere([*search.problems, f"{target.name} {target.folder} ({problem})"], remedy)


def _filled(target: Place, search: _Search) -> Content:
    # The lock is held, so these were left by processes that were killed.
    for stale in target.folder.glob(f"{_STAGING}*"):
        shutil.rmtree(stale, ignore_errors=True)
    sources = {"a copy": _copy_of(search.found)} if search.found else _SOURCES
    tried = list(search.problems)
    for name, source in sources.items():
        with tempfile.TemporaryDirectory(dir=target.folder, prefix=_STAGING) as staging:
            try:
                content = read_folder(Place(name, source(Path(staging))))
                problem = content.problem
            except (OSError, HTTPException, subprocess.SubprocessError) as error:
                if isinstance(error, OSError) and error.errno in NO_SPACE:
                    raise  # no other source would find more room
                problem = _one_line(error)
            if not problem:
                return _published(content, target)
            tried.append(f"{name} ({problem})")
    raise _nowhere(tried, _REMEDY)


def _published(content: Content, target: Place) -> Content:
    checks = []
    for check in content.checks:
        path = target.folder / check.path.name
        check.path.replace(path)
        checks.append(FileCheck(path, target.name, True))
    return Content(target, tuple(checks), content.values)


def _copy_of(content: Content) -> Callable[[Path], Path]:
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
            # Compressed it is smaller; what is cut off here is found to be no such file.
            (staging / name).write_bytes(response.read(file.size_bytes))
    return staging


def _debian_package(staging: Path) -> Path:
    """Needs no root: apt gets lists and cache of its own, dpkg only unpacks."""
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
        # The system's lists are missing or out of date: use fresh ones.
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


def _nowhere(tried: list[str], remedy: str) -> DatasetError:
    return DatasetError(f"Fashion-MNIST is nowhere to be had; tried {'; '.join(tried)}: {remedy}")


def _one_line(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = [line for line in error.stderr.splitlines() if line.startswith("E: ")]
        said = said or error.stderr.splitlines() or [f"exit code {error.returncode}"]
        return " ".join(said[-1].removeprefix("E: ").split())
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} is not there"
    said_by_urllib = str(error).removeprefix("<urlopen error ").removesuffix(">")
    return " ".join(said_by_urllib.split())
