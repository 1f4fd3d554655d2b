"""A processor is known by what its machine code depends on."""

from pathlib import Path

from bench.measure.cpu_identity import cpu_identity

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9R14
cpu MHz\t\t: {mhz}
flags\t\t: fpu avx2
power management:

processor\t: 1
model name\t: another
"""
ARM = "processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd sve\nCPU part\t: 0xd40\n"


def write_cpuinfo(root: Path, text: str) -> Path:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(text)
    return root


def test_x86_is_known_by_model_and_flags_and_not_by_its_clock(tmp_path: Path) -> None:
    first = cpu_identity(write_cpuinfo(tmp_path, X86.format(mhz=2000)))
    assert first == {
        "vendor_id": "AuthenticAMD",
        "model name": "AMD EPYC 9R14",
        "flags": "fpu avx2",
    }
    assert cpu_identity(write_cpuinfo(tmp_path, X86.format(mhz=3700))) == first


def test_arm_is_known_by_part_and_features(tmp_path: Path) -> None:
    identity = cpu_identity(write_cpuinfo(tmp_path, ARM))
    assert identity == {"Features": "fp asimd sve", "CPU part": "0xd40"}


def test_an_unreadable_file_gives_nothing(tmp_path: Path) -> None:
    assert cpu_identity(tmp_path) == {}
