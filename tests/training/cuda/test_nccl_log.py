"""Transports are read from lines of NCCL 2's log (its format strings, and public logs)."""

from pathlib import Path

import pytest

from bench.training.cuda.nccl_log import nccl_log, nccl_transports

RING = "h:1:9 [0] NCCL INFO Pattern 4, crossNic 0, nChannels {}, bw 20.000000/20.000000, type {}"
NVLINK = RING.format(12, "NVL/PIX, sameChannels 1")
PCIE = RING.format(1, "PHB/PIX, sameChannels 1")
UNUSED = "h:1:9 [0] NCCL INFO Pattern 5, crossNic 0, nChannels 0, bw 0.0/0.0, type SYS/SYS, sam"


def channel(path: str) -> str:
    return f"gpu-3:919:1150 [0] NCCL INFO Channel 01/0 : 8[0] -> 15[7] {path}"


@pytest.mark.parametrize(
    ("lines", "transports"),
    [
        ([NVLINK, channel("via P2P/CUMEM/read")], ["P2P/NVL"]),
        ([NVLINK, UNUSED, channel("via P2P/IPC/read")], ["P2P/NVL"]),
        ([PCIE, channel("via P2P/direct pointer")], ["P2P/PHB"]),
        ([channel("via P2P/IPC")], ["P2P"]),
        ([PCIE, channel("via SHM/direct/direct")], ["SHM"]),
        (["h:1:9 [0] NCCL INFO Channel 00 : 0[0] -> 1[1] via SHM/direct"], ["SHM"]),
        ([channel("[send] via NET/Socket/3")], ["NET/Socket"]),
        ([channel("[receive] via NET/IB/0/GDRDMA")], ["NET/IB/GDRDMA"]),
        ([channel("[send] via NET/IB/3(1)/GDRDMA/Shared")], ["NET/IB/GDRDMA"]),
        ([channel("[send] via NET/IBext_v8/1")], ["NET/IBext_v8"]),
        ([channel("[send] via NET/AWS Libfabric/0/GDRDMA")], ["NET/AWS Libfabric/GDRDMA"]),
        (["h:1:9 [0] NCCL INFO CollNet 00/0 : 0 [send] via COLLNET/SHARP/0"], ["COLLNET/SHARP"]),
        (["h:1:9 [0] NCCL INFO Connected NVLS tree"], ["NVLS"]),
        (
            [NVLINK, channel("via P2P/IPC/read"), channel("[send] via NET/IB/2")],
            ["NET/IB", "P2P/NVL"],
        ),
        (["h:1:9 [0] NCCL INFO Using network IB", "h:1:9 [0] NCCL INFO NET/IB : Using [0]m:1"], []),
    ],
)
def test_transports_are_named_by_what_affects_speed(
    lines: list[str], transports: list[str]
) -> None:
    assert nccl_transports("\n".join(lines)) == transports


def test_nccl_logs_only_within_the_block() -> None:
    environ: dict[str, str] = {}
    with nccl_log(several_gpus=True, environ=environ) as read:
        assert environ["NCCL_DEBUG"] == "INFO"
        assert read() is None
        log = Path(environ["NCCL_DEBUG_FILE"])
        log.write_text(channel("[send] via NET/Socket/0"))
        assert read() == ["NET/Socket"]
    assert environ == {}
    assert not log.exists()


@pytest.mark.parametrize(("several_gpus", "environ"), [(False, {}), (True, {"NCCL_DEBUG": "INFO"})])
def test_a_user_s_setting_stays_and_one_gpu_needs_no_log(
    several_gpus: bool, environ: dict[str, str]
) -> None:
    before = dict(environ)
    with nccl_log(several_gpus, environ) as read:
        assert environ == before
        assert read() is None


def test_warnings_still_reach_stderr_and_the_transport_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ = {"NCCL_DEBUG": "WARN", "NCCL_DEBUG_FILE": "elsewhere"}
    before, warning = dict(environ), "node:1:2 [0] NCCL WARN Call to ibv_create_qp failed\n"
    with nccl_log(several_gpus=True, environ=environ) as read:
        Path(environ["NCCL_DEBUG_FILE"]).write_text(warning + channel("[send] via NET/Socket/0"))
        assert read() == ["NET/Socket"]
    assert environ == before
    assert capsys.readouterr().err == warning
