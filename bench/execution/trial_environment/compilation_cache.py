"""Keep what XLA compiles on a CPU for later processes.

Usage:
    with compilation_cache(os.environ, cores=2, repeat=1) as cache:
        programs = cache.for_process()
        environ = {**os.environ, **programs.variables}   # of a process that trains in the block
    cache.found                               # whether the processes may have found programs
    cache.warning                             # why no program is kept, or None

Until a folder has entries, and in the first repeat of a run, each process gets an empty folder of
its own. It compiles every program, also one that another arm has compiled, so that its cold start
is that of a process that compiles. The entries are added to the shared folder after the block.

Observed with TensorFlow 2.21: a trial fails on a truncated or damaged entry, and counts as
unsupported on an empty one or one of another program. Therefore each entry has a file with its
digest, and an entry without the right one is removed before a block uses the folder. That needs a
lock, since XLA fails on an entry that vanishes while it reads it. Several processes may write an
entry at once.

XLA's entry does not depend on flags, processor or number of cores, but its machine code does: a
folder holds the entries of one combination.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.files.private_folder import private_folder
from bench.measure.cpu_identity import cpu_identity
from bench.training.interpreter_probe import tensorflow_build

_FLAG = "--tf_xla_persistent_cache_directory"
_ENTRIES, _DIGEST, _LOCK = "xla_compile_cache_*.pb", ".sha256", "lock"
_NEW = "new-"
"""Begins the name of a block's folder for the entries of its processes."""
_MAX_BYTES = 2 * 2**30
"""Size at which the oldest entries of a folder are removed; one takes about half a megabyte."""


@dataclass(frozen=True)
class ProcessPrograms:
    """The compiled programs of one process; by default it keeps none."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """By which XLA finds the folder of entries."""
    empty_folder: Path | None = None
    """That folder, if it has to be empty whenever the process starts."""


@dataclass(frozen=True)
class CompilationCache:
    """Where the processes of a block keep programs; by default nowhere."""

    folder: Path | None = None
    """The entries that all of them find, or else the parent of a folder for each."""
    found: bool = False
    """Whether the processes may find programs."""
    flags: str = ""
    """XLA's other flags."""
    warning: str | None = None
    """Why no folder can be used, in one line."""

    def for_process(self) -> ProcessPrograms:
        """Return what a further process of the block gets."""
        if self.folder is None:
            return ProcessPrograms()
        if self.found:
            return ProcessPrograms(self._variables(self.folder))
        try:
            own = Path(tempfile.mkdtemp(dir=self.folder))
        except OSError:
            return ProcessPrograms()
        return ProcessPrograms(self._variables(own), own)

    def _variables(self, folder: Path) -> dict[str, str]:
        return {"TF_XLA_FLAGS": f"{_FLAG}={folder} {self.flags}".strip()}


@contextlib.contextmanager
def compilation_cache(
    environ: Mapping[str, str], cores: int, repeat: int, build: str | None = None
) -> Iterator[CompilationCache]:
    """Let the processes of the block, with ``environ`` and ``cores`` cores, share a folder.

    ``build`` identifies their TensorFlow (as ``tensorflow_build`` does), None this process's.

    They find nothing in the first ``repeat`` of a run, 0, so that cold starts are measured there.
    There is no folder if the user has set one.
    """
    flags = environ.get("TF_XLA_FLAGS", "").strip()
    # A value without leading dashes names a file of flags.
    if _FLAG in flags or (flags and not flags.startswith("--")):
        yield CompilationCache()
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = private_folder("xla") / _key(environ, cores, build or tensorflow_build())
            # XLA splits its flags at whitespace.
            if re.search(r"\s", str(folder)):
                raise OSError("its path contains a space: set BENCH_CACHE_DIR to one without")
            folder.mkdir(exist_ok=True)
            stack.enter_context(_locked(folder))
            found = repeat > 0 and any(folder.glob(_ENTRIES))
            stack.callback(_seal, folder)
            new = folder if found else stack.enter_context(_new_entries(folder))
        except OSError as error:
            reason = error.strerror or error.args[-1]
            yield CompilationCache(warning=f"XLA's compiled programs are not kept: {reason}")
            return
        yield CompilationCache(new, found, flags)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Share the folder in the block; clean it first unless others use it, who have cleaned it."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_damaged(folder)
            _remove_oldest(folder)
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _new_entries(folder: Path) -> Iterator[Path]:
    """Make a folder for the block, and add the entries of the folders in it to ``folder``."""
    new = Path(tempfile.mkdtemp(prefix=_NEW, dir=folder))
    try:
        yield new
    finally:
        for entry in new.glob(f"*/{_ENTRIES}"):
            with contextlib.suppress(OSError):
                if not (folder / entry.name).exists():
                    entry.replace(folder / entry.name)
        shutil.rmtree(new, ignore_errors=True)


def _seal(folder: Path) -> None:
    """Write the digests of new entries, so that later blocks keep them."""
    for entry in folder.glob(_ENTRIES):
        # A full disk leaves entries without digests, which the next block removes.
        with contextlib.suppress(OSError):
            if not _digest_file(entry).exists():
                _write(_digest_file(entry), _digest(entry))


def _key(environ: Mapping[str, str], cores: int, build: str) -> str:
    """Name what XLA's machine code depends on besides the program."""
    parts = {
        "build": build,
        "flags": [environ.get(name) for name in ("XLA_FLAGS", "TF_XLA_FLAGS")],
        "cores": cores,
        "cpu": cpu_identity(),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"tensorflow-{build.partition('-')[0]}-{digest[:16]}"


def _remove_damaged(folder: Path) -> None:
    """Remove entries whose digest is wrong or missing, and all else that XLA cannot use."""
    sound = {e for e in folder.glob(_ENTRIES) if _text(_digest_file(e)) == _digest(e)}
    kept = sound | {_digest_file(entry) for entry in sound}
    for file in folder.iterdir():
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)  # of a block whose holder was killed
        elif file not in kept and file.name != _LOCK:
            file.unlink()


def _remove_oldest(folder: Path) -> None:
    """Remove the oldest entries beyond ``_MAX_BYTES``; their digests go with the next cleaning."""
    entries = [(entry.stat(), entry) for entry in folder.glob(_ENTRIES)]
    total_bytes = 0
    for status, entry in sorted(entries, key=lambda pair: pair[0].st_mtime, reverse=True):
        total_bytes += status.st_size
        if total_bytes > _MAX_BYTES:
            entry.unlink()


def _digest_file(entry: Path) -> Path:
    return entry.with_name(entry.name + _DIGEST)


def _digest(entry: Path) -> str:
    return hashlib.sha256(entry.read_bytes()).hexdigest()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    staged = path.with_name(f"{uuid.uuid4().hex}.staged")
    staged.write_text(text, encoding="ascii")
    staged.replace(path)
