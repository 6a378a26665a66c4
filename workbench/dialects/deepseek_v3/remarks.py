"""What a person should know about a main file: upstream's verdicts, true sizes, the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.counting import size_here
from workbench.dialects.deepseek_v3.loader import stops
from workbench.dialects.deepseek_v3.placeless import IGNORED
from workbench.dialects.deepseek_v3.size import built
from workbench.units import count

if TYPE_CHECKING:
    from workbench.dialects.base import Verdict
    from workbench.dialects.building import Builder

_NAMES = 3  # domains of a mixture that a remark names


def verdict(path: str, tree: dict[str, Any]) -> tuple[Verdict, str]:
    """What the system does with a key of a main file, and why."""
    for stop in stops(tree):
        if stop.path == path:
            return "refused", stop.message
    for ignored, reason in IGNORED.items():
        if path == ignored or path.startswith(f"{ignored}."):
            return "ignored", reason
    if path.rpartition(".")[2].startswith("_"):
        return "ignored", "a comment"
    if path.partition(".")[0] not in _SECTIONS and path not in _SECTIONS:
        return "ignored", "the loader does not read it"
    return "read", ""


_SECTIONS = (
    "model", "training", "data", "distributed", "checkpointing", "logging", "validation",
    "experiment_name", "output_dir", "seed",
)  # fmt: skip


def of_upstream(builder: Builder) -> None:
    """What the system's loader refuses, the first reason first, and what its trainer ignores."""
    found = stops(builder.tree)
    if found:
        more = f", and {len(found) - 1} further reasons stand below" if len(found) > 1 else ""
        builder.refused("", f"the loader stops at {found[0].path}: {found[0].message}{more}")
    for stop in found:
        builder.refused(stop.path, stop.message)
    there = [path for path in IGNORED if builder.has(path)]
    for path in sorted(there, key=lambda path: builder.line(path) or 0):
        builder.ignored(path, IGNORED[path])


def of_size(builder: Builder) -> None:
    """The size of what upstream builds; the names of its files promise something else."""
    counted = built(builder.tree)
    if counted is None:
        return
    name = str(builder.value("experiment_name", builder.foreign.path.stem))
    builder.remark(
        "",
        "upstream",
        f"{name} has {count(counted.total)} parameters as its code builds it "
        f"({counted.total:,}): {count(counted.heads)} of them in the head for further tokens, "
        f"which has an embedding and an output matrix of its own; one token meets "
        f"{count(counted.active)}, where its own formula says {count(counted.own_count)}"
        + _here(builder),
    )
    if builder.ours("model.moe.dense_layer_interval") == 1:
        builder.remark(
            "model.dense_layer_interval",
            "upstream",
            "with 1 every layer is dense: the experts are described and never built",
        )


def of_other_size(builder: Builder) -> None:
    """The size of a model that the system's code is not known to build."""
    if builder.ours("model.hidden_size") and (here := size_here(builder)):
        name = builder.foreign.path.stem
        builder.remark("", "assumed", f"{name} describes {count(here)} parameters ({here:,})")


def _here(builder: Builder) -> str:
    here = size_here(builder)
    return f"; here it has {count(here)}, without that head" if here else ""


def of_data(builder: Builder) -> None:
    """The mixture as upstream prints it: weights scaled to add up to one."""
    sources = builder.value("data.sources", None)
    if not isinstance(sources, list):
        return
    shares = {
        str(each.get("name")): each["weight"]
        for each in sources
        if isinstance(each, dict) and isinstance(each.get("weight"), int | float)
    }
    total = sum(shares.values())
    if not shares or total <= 0:
        return
    first = ", ".join(
        f"{name} {share / total:.0%}" for name, share in list(shares.items())[:_NAMES]
    )
    more = f" and {len(shares) - _NAMES} more" if len(shares) > _NAMES else ""
    builder.remark("data.sources", "upstream", f"the mixture is {first}{more}")


def of_devices(builder: Builder, devices: int, degrees: dict[str, int]) -> None:
    """Which devices were taken, and what upstream's own product says."""
    if not builder.has("distributed"):
        return
    product = degrees["tensor"] * degrees["pipeline"] * degrees["expert"]
    asked = builder.value("distributed.data_parallel_size", 1)
    shown = f"TP {degrees['tensor']} x PP {degrees['pipeline']} x EP {degrees['expert']}"
    if asked == -1:
        builder.assume(
            "distributed.data_parallel_size",
            f"{devices} devices / ({shown}) = {max(1, devices // product)}; upstream takes -1 as "
            f"1 and prints {product} devices in all",
        )
    if builder.value("distributed.slurm.nodes") == 0:
        builder.assume(
            "distributed.slurm.nodes", f"0 nodes is none: {devices} devices on one node are meant"
        )


def of_batch(builder: Builder, total: int, micro: int, data: int, steps: int, devices: int) -> None:
    """The equation of the batch, here and upstream."""
    reached = micro * steps * data
    short = "" if reached == total else f", short of the {total:,} asked for"
    builder.remark(
        "training.global_batch_size",
        "translated",
        f"it counts sequences: {micro} x {steps} accumulated x {data} data-parallel = "
        f"{reached:,}{short}",
    )
    theirs = max(1, total // (micro * devices))
    if theirs != steps or theirs * micro * devices != total:
        builder.remark(
            "training.global_batch_size",
            "upstream",
            f"upstream divides by all {devices} devices and rounds down: {theirs} accumulated, "
            f"{micro * theirs * devices:,} sequences by its own count",
            "read",
        )
