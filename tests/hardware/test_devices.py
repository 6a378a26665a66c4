"""Device profiles: facts with a source each, and broken files that are named."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from workbench.config.profile import Precision
from workbench.errors import ConfigError, UsageError
from workbench.hardware.devices import device, names, read
from workbench.resources import data_dir

GOOD = """\
title: A card
kind: cuda
memory_gib: {value: 80, source: its datasheet}
precisions: {value: [fp32, bf16], source: its whitepaper}
compute_capability: {value: "9.0", source: the vendor's list}
devices_per_node: {value: 8, source: its datasheet}
"""


@pytest.mark.parametrize("name", names())
def test_a_shipped_profile_is_whole_and_has_a_source_for_every_figure(name: str) -> None:
    profile = device(name)
    assert profile.name == name
    assert profile.title
    assert "fp32" in profile.precisions
    assert profile.precisions <= set(typing.get_args(Precision))
    assert profile.devices_per_node >= 1
    assert all(len(source) > 5 for source in profile.sources.values())
    assert (profile.compute_capability is not None) == (profile.kind == "cuda")
    assert (profile.memory_bytes is None) == (profile.kind in ("cpu", "apple"))
    assert (profile.meshes != ()) == (profile.kind == "tenstorrent")
    for rows, columns in profile.meshes:
        assert rows * columns == profile.devices_per_node
    text = (data_dir("configs") / "devices" / f"{name}.yaml").read_text()
    assert len(text.splitlines()) <= 16


@pytest.mark.parametrize("name", names())
def test_the_figures_of_a_shipped_profile_are_of_their_size(name: str) -> None:
    profile = device(name)
    peak = profile.peak_flops
    assert set(peak) <= profile.precisions
    assert all(1e12 < each < 1e16 for each in peak.values())
    ladder = [peak[each] for each in ("fp32", "tf32", "bf16", "fp8", "nvfp4") if each in peak]
    assert ladder == sorted(ladder), "the shorter the format, the faster"
    if "bf16" in peak and "fp8" in peak:
        assert peak["fp8"] == pytest.approx(2 * peak["bf16"], rel=0.02), "both of them dense"
    for bandwidth, low, high in (
        (profile.memory_bandwidth, 200e9, 9e12),
        (profile.link_bandwidth, 20e9, 1e12),
        (profile.pcie_bandwidth, 10e9, 70e9),
        (profile.network_bandwidth, 1e9, 500e9),
    ):
        assert bandwidth is None or low < bandwidth < high
    assert (profile.price_per_hour is None) == (profile.price_date is None)


def test_a_node_begins_with_its_device() -> None:
    node, card = device("p5.48xlarge"), device("h100_80gb")
    assert (node.devices_per_node, node.memory_bytes) == (8, card.memory_bytes)
    assert node.peak_flops == card.peak_flops
    assert node.price_per_hour != card.price_per_hour


def test_a_persons_own_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "ava" / "devices"
    mine.mkdir(parents=True)
    (mine / "rtx_4090.yaml").write_text(
        "title: The card below my desk\ndevice: l4\n"
        'price_per_hour: {value: 0.1, source: my power bill, date: "2026-11-01"}\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    names.cache_clear()
    device.cache_clear()
    try:
        profile = device("rtx_4090")
        assert (profile.title, profile.price_per_hour) == ("The card below my desk", 0.1)
        assert profile.memory_bytes == device("l4").memory_bytes
    finally:
        names.cache_clear()
        device.cache_clear()


def test_what_follows_from_the_compute_capability() -> None:
    for name in names():
        profile = device(name)
        if (capability := profile.compute_capability) is not None:
            assert profile.computes("bf16") == (capability >= (8, 0)), name
            assert profile.computes("fp8") == (capability >= (8, 9)), name
            assert profile.computes("nvfp4") == (capability >= (10, 0)), name
        assert profile.computes("no")
        assert profile.computes("auto")


@pytest.mark.parametrize(
    ("name", "gib", "per_node"),
    [
        ("a100_80gb", 80, 8),
        ("h100_80gb", 80, 8),
        ("h200", 141, 8),
        ("v100_16gb", 16, 8),
        ("rtx_3090", 24, 1),
        ("n300", 12, 2),
        ("galaxy", 12, 32),
    ],
)
def test_some_figures(name: str, gib: int, per_node: int) -> None:
    assert device(name).memory_bytes == gib * 2**30
    assert device(name).devices_per_node == per_node


def test_the_devices_of_the_seeds_are_there() -> None:
    wanted = {"a100_40gb", "a100_80gb", "h100_80gb", "v100_32gb", "a10g", "rtx_4090", "rtx_a6000"}
    assert wanted | {"n150", "n300", "t3k", "p100", "p150", "galaxy", "cpu"} <= set(names())


def test_a_misspelt_name_is_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        device("H100-80GB-SXM")
    assert "h100_80gb" in str(caught.value.fix)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(GOOD)
    profile = read(path)
    assert (profile.name, profile.compute_capability) == ("card", (9, 0))
    assert profile.sources["memory_gib"] == "its datasheet"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (", source: its datasheet}", "}", "a value and a source"),
        ("memory_gib: {value: 80, source: its datasheet}", "memory_gib: 80", "value and a source"),
        ("memory_gib", "memory_gb", "'memory_gb' is not a known figure"),
        ("kind: cuda\n", "", "'kind' is missing"),
        ("kind: cuda", "kind: toaster", "no kind 'toaster'"),
        ("bf16", "bf61", "unknown precisions: bf61"),
        ("value: 80", "value: lots", "not of its kind"),
        ('"9.0"', '"nine"', "not of its kind"),
        ("title: A card", "title: A card\ndevice: h999", "no device 'h999'"),
        ("value: 80", "value: -80", "not of its kind"),
        (
            "title: A card",
            "title: A card\nwatts: {value: .inf, source: a stove}",
            "not of its kind",
        ),
        ("title: A card", "title: A\nprice_per_hour: {value: 1, source: a list}", "and a date"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value.where)
