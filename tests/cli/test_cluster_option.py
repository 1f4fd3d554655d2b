"""`bench run --cluster` refuses what it cannot run before it starts a cluster."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command, error_line
from tests.support.paths import ROOT

CLUSTERS = ROOT / "clusters"


@pytest.mark.parametrize("option", [("--address", "auto"), ("--executor", "inprocess")])
def test_cluster_excludes_address_and_executor(
    command: Command, tiny: Path, option: tuple[str, str]
) -> None:
    reason = error_line(command("run", tiny, "--cluster", CLUSTERS / "onprem.yaml", *option), 2)
    assert reason == "--cluster starts its own Ray: omit --address and --executor"


def test_an_existing_folder_is_refused(command: Command, tiny: Path, finished_run: Path) -> None:
    result = command("run", tiny, "--cluster", CLUSTERS / "onprem.yaml", "--out", finished_run)
    reason = "already exists and is not empty: choose another --out"
    assert error_line(result, 2) == f"{finished_run}: {reason}"


def test_resuming_needs_the_run_folder(command: Command, tiny: Path) -> None:
    result = command("run", tiny, "--cluster", CLUSTERS / "onprem.yaml", "--resume")
    assert "name its folder with --out" in error_line(result, 2)


def test_a_file_that_is_not_the_launcher_s_is_refused(command: Command, tiny: Path) -> None:
    assert "not a file for Ray's launcher" in error_line(command("run", tiny, "--cluster", tiny), 2)
    kuberay = CLUSTERS / "kuberay.yaml"
    assert "kuberay.yaml: not a file" in error_line(command("run", tiny, "--cluster", kuberay), 2)
