"""The names of a module are read from its source, which may be a stranger's."""

from pathlib import Path

import pytest

from bench.execution.custom_workloads.source_names import names_in_source
from tests.support.other_users import SPECIAL, plant

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("kind", [*SPECIAL, "link to a device", "huge"])
def test_a_special_file_is_not_a_module(tmp_path: Path, kind: str) -> None:
    plant(kind, tmp_path / "mine.py")
    with pytest.raises(OSError):
        names_in_source(tmp_path / "mine.py")


@pytest.mark.parametrize("text", ["-" * 100_000 + "1", "a = " + "not " * 100_000 + "1"])
def test_unparsable_source_gives_no_names(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert names_in_source(tmp_path / "mine.py") is None
