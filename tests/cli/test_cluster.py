"""`bench run --cluster`: what is refused before any cluster is started."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command, complaint
from tests.support.paths import ROOT

CLUSTERS = ROOT / "clusters"


@pytest.mark.parametrize("option", [("--address", "auto"), ("--executor", "inprocess")])
def test_a_cluster_of_one_s_own_has_no_other_address_or_executor(
    command: Command, tiny: Path, option: tuple[str, str]
) -> None:
    reason = complaint(command("run", tiny, "--cluster", CLUSTERS / "onprem.yaml", *option), 2)
    assert reason == "--cluster starts a Ray of its own: leave --address, --executor"


def test_a_folder_that_exists_is_not_written_to(command: Command, tiny: Path, made: Path) -> None:
    done = command("run", tiny, "--cluster", CLUSTERS / "onprem.yaml", "--out", made)
    assert complaint(done, 2) == f"{made}: already exists: choose another --out"


def test_resuming_asks_for_the_run_folder(command: Command, tiny: Path) -> None:
    done = command("run", tiny, "--cluster", CLUSTERS / "onprem.yaml", "--resume")
    assert "give it by --out" in complaint(done, 2)


def test_a_file_that_is_not_the_launcher_s_is_refused(command: Command, tiny: Path) -> None:
    assert "not a file for Ray's launcher" in complaint(command("run", tiny, "--cluster", tiny), 2)
    kuberay = CLUSTERS / "kuberay.yaml"
    assert "kuberay.yaml: not a file" in complaint(command("run", tiny, "--cluster", kuberay), 2)
