"""Detection: a driver library compiled here with made-up cards, and trees like /sys and /dev."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from workbench import machine
from workbench.hardware import nvml
from workbench.hardware.detect import describe, detect

GIB = 2**30
# NVML's own signatures, as its header has them.
DRIVER = """
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory_t;
static const char *names[] = { %(names)s };
static unsigned long long totals[] = { %(totals)s };
int nvmlInit_v2(void) { return %(init)d; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return "Driver/library version mismatch"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = sizeof names / sizeof *names; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)(unsigned long)(index + 1); return 0; }
int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
    strncpy(name, names[(unsigned long)handle - 1], length); return 0; }
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    memory->total = totals[(unsigned long)handle - 1];
    memory->free = memory->total / 2; memory->used = memory->total / 2; return 0; }
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    *major = %(major)d; *minor = %(minor)d; return %(capability)d; }
"""


def driver(
    folder: Path,
    cards: dict[str, float],
    *,
    capability: tuple[int, int] | None = None,
    init: int = 0,
) -> str:
    """A driver library with these cards and their memory in GiB."""
    major, minor = capability or (0, 0)
    text = DRIVER % {
        "names": ", ".join(f'"{name}"' for name in cards),
        "totals": ", ".join(f"{int(gib * GIB)}ULL" for gib in cards.values()),
        "init": init,
        "major": major,
        "minor": minor,
        "capability": 0 if capability else 3,
    }
    source, library = folder / "nvml.c", folder / "libnvidia-ml.so.1"
    source.write_text(text)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)


@pytest.mark.parametrize(
    ("name", "gib", "capability", "profile"),
    [
        ("NVIDIA A100-SXM4-80GB", 79.3, (8, 0), "a100_80gb"),
        ("NVIDIA A100-SXM4-40GB", 39.4, (8, 0), "a100_40gb"),
        ("NVIDIA H100 80GB HBM3", 79.6, (9, 0), "h100_80gb"),
        ("NVIDIA H100 PCIe", 79.6, (9, 0), "h100_80gb_pcie"),
        ("NVIDIA H200", 139.8, (9, 0), "h200"),
        ("Tesla V100-SXM2-16GB", 15.8, (7, 0), "v100_16gb"),
        ("Tesla T4", 14.6, (7, 5), "t4"),
        ("NVIDIA A10G", 22.1, (8, 6), "a10g"),
        ("NVIDIA RTX A6000", 47.4, (8, 6), "rtx_a6000"),
        ("NVIDIA GeForce RTX 4090", 23.6, (8, 9), "rtx_4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 15.7, (8, 9), None),
        ("NVIDIA GeForce RTX 3090", 23.7, None, "rtx_3090"),
        ("NVIDIA Something New", 500, (13, 0), None),
    ],
)
def test_a_card_gets_its_profile(
    tmp_path: Path, name: str, gib: float, capability: tuple[int, int] | None, profile: str | None
) -> None:
    library = driver(tmp_path, {name: gib}, capability=capability)
    found = detect(library=library, sys=tmp_path, dev=tmp_path)
    (card,) = found.devices
    assert (card.title, card.profile) == (name, profile)
    assert card.memory_bytes == int(gib * GIB)
    assert found.profile == (profile or "cpu")
    assert any(name in line for line in describe(found))


def test_several_cards(tmp_path: Path) -> None:
    library = driver(tmp_path, {"Tesla T4": 14.6, "NVIDIA L4": 22.0})
    assert [each.profile for each in detect(library=library, sys=tmp_path).devices] == ["t4", "l4"]


def test_why_there_is_no_card(tmp_path: Path) -> None:
    found = detect(library=str(tmp_path / "none.so"), sys=tmp_path, dev=tmp_path)
    assert found.devices == ()
    assert found.profile == "cpu"
    assert [line.partition(":")[0] for line in found.not_found] == ["NVIDIA", "AMD", "Tenstorrent"]
    assert "no NVIDIA driver is installed" in found.not_found[0]
    broken = driver(tmp_path, {"Tesla T4": 15}, init=18)
    assert "version mismatch" in detect(library=broken, sys=tmp_path, dev=tmp_path).not_found[0]
    hollow = tmp_path / "hollow.so"
    (tmp_path / "hollow.c").write_text("int nothing;")
    subprocess.run(["gcc", "-shared", "-o", hollow, tmp_path / "hollow.c"], check=True)
    with pytest.raises(nvml.NvmlError, match="too old"):
        nvml.cards(str(hollow))


def test_amd_and_tenstorrent(tmp_path: Path) -> None:
    card = tmp_path / "class/drm/card0/device"
    card.mkdir(parents=True)
    (card / "mem_info_vram_total").write_text(f"{192 * GIB}\n")
    (card / "mem_info_vram_used").write_text(f"{2 * GIB}\n")
    (card / "product_name").write_text("AMD Instinct MI300X OAM\n")
    for chip in range(2):
        kind = tmp_path / f"class/tenstorrent/tenstorrent!{chip}/tt_card_type"
        kind.parent.mkdir(parents=True)
        kind.write_text("n300\n")
        (tmp_path / "tenstorrent").mkdir(exist_ok=True)
        (tmp_path / f"tenstorrent/{chip}").touch()
    found = detect(library="none.so", sys=tmp_path, dev=tmp_path)
    assert [each.profile for each in found.devices] == ["mi300x", "n300", "n300"]
    assert found.devices[0].free_bytes == 190 * GIB
    assert found.profile == "mi300x"


def test_this_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor : 0\nmodel name : Some CPU @ 2 GHz\nflags : fpu avx512f avx512_bf16\n"
    )
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 600 kB\n")
    assert machine.cpu_model(tmp_path) == "Some CPU @ 2 GHz"
    assert machine.native_bf16(tmp_path) == "avx512_bf16"
    assert machine.total_memory(tmp_path, tmp_path) == 1000 * 1024
    assert machine.available_memory(tmp_path, tmp_path) == 600 * 1024
    (tmp_path / "memory.max").write_text("409600\n")
    (tmp_path / "memory.current").write_text("102400\n")
    assert machine.total_memory(tmp_path, tmp_path) == 409600
    assert machine.available_memory(tmp_path, tmp_path) == 307200
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.total_memory(tmp_path, tmp_path) == 1000 * 1024
    nowhere = tmp_path / "nowhere"
    assert machine.native_bf16(nowhere) is None
    assert machine.total_memory(nowhere, nowhere) is None


def test_the_command(ava) -> None:  # noqa: ANN001 - the fixture's type is in conftest
    shown = ava("hardware", "detect")
    assert shown.returncode == 0
    assert "processor" in shown.stdout
    data = json.loads(ava("hardware", "detect", "--json").stdout)
    assert data["cores"] >= 1
    assert "H100" in ava("hardware", "list", "h100").stdout
    shown = ava("hardware", "show", "p5.48xlarge").stdout
    assert "989.4 TFLOP/s dense" in shown
    assert "$6.88 an hour" in shown
    for wrong in (["hardware", "show"], ["hardware", "list", "zx81"], ["hardware", "melt"]):
        refused = ava(*wrong)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
