"""Every error that this package raises on purpose.

    BenchError                 catches all of them
    ├── UsageError        2    the command line, or a value in it
    │   ├── SuiteError    2    a suite: missing, malformed or contradictory
    │   └── ResourceError 2    unavailable GPUs, addresses or folders
    ├── ClusterLostError  5    the Ray cluster of a run is lost
    ├── HelperError       5    a process that bench started died or did not answer
    └── DataError         5    data that is missing, damaged or unreadable
        ├── DatasetError  5    a data set
        ├── RunFolderError 5   a run folder
        └── StorageError  5    the disk: full, or not writable

The number is the exit code of the command. Only ``bench.cli`` exits. A message is one
line and ends with what the user can change.
"""


class BenchError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is that of the command."""

    exit_code = 1


class UsageError(BenchError):
    """The command line or a call requests something impossible."""

    exit_code = 2


class SuiteError(UsageError):
    """A suite cannot be read, or requests something impossible."""


class ResourceError(UsageError):
    """A requested device, address or folder is unavailable."""


class ClusterLostError(BenchError):
    """The Ray cluster of a run is lost while the run needs it."""

    exit_code = 5


class HelperError(BenchError):
    """A process that bench started for a part of its work died or did not answer in time.

    ``was_killed`` says that a signal ended it, so that another try may succeed.
    """

    exit_code = 5

    def __init__(self, message: str, *, was_killed: bool = False) -> None:
        super().__init__(message)
        self.was_killed = was_killed


class DataError(BenchError):
    """Stored data is missing or damaged, or cannot be written."""

    exit_code = 5


class DatasetError(DataError):
    """A data set is missing, truncated or different from its checksum."""


class RunFolderError(DataError):
    """A folder is not a run folder, is damaged, or comes from a newer version."""


class StorageError(DataError):
    """The disk is full, or the folder cannot be written."""
