"""Every error this package raises on purpose.

    BenchError                 what a caller may catch to catch them all
    ├── UsageError        2    the command line, or a value in it
    │   ├── SuiteError    2    a suite file: missing, malformed, impossible
    │   └── ResourceError 2    GPUs, an address or a folder that cannot be had
    ├── ClusterLostError  5    the Ray cluster that a run was on is gone
    ├── HelperError       5    a process that bench started died or did not answer
    └── DataError         5    data that is missing, damaged or unreadable
        ├── DatasetError  5    a data set
        ├── RunFolderError 5   a run folder
        └── StorageError  5    the disk: full, or not writable

The number is the exit code of the command. Only ``bench.cli`` exits. A message is one
line and ends with what the user can change.
"""


class BenchError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command returns."""

    exit_code = 1


class UsageError(BenchError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class SuiteError(UsageError):
    """A suite cannot be read, or asks for something that cannot be."""


class ResourceError(UsageError):
    """A device, an address or a folder that was asked for cannot be had."""


class ClusterLostError(BenchError):
    """The Ray cluster that a run was on is gone in mid-run."""

    exit_code = 5


class HelperError(BenchError):
    """A process that this one started for a part of its work died or did not answer in time."""

    exit_code = 5


class DataError(BenchError):
    """Stored data is missing, damaged or cannot be written."""

    exit_code = 5


class DatasetError(DataError):
    """A data set is missing, truncated or not what its checksum says."""


class RunFolderError(DataError):
    """A folder is not a run folder, is damaged, or comes from a newer version."""


class StorageError(DataError):
    """The disk is full or the folder cannot be written."""
