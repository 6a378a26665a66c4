"""`ava hardware`: the device profiles, and what this machine has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

from workbench import units
from workbench.cli.options import take_flag
from workbench.cli.output import console, print_json
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile

HELP = """\
usage: ava hardware COMMAND [--json]

  ava hardware list [WORD]    all device profiles: memory, dense peak, price
  ava hardware show NAME      every figure of one, and where it comes from
  ava hardware detect         what this machine has, and which profile that is

A plan for another device:    ava estimate tiny_cpu --run.hardware h100_80gb
Your own devices and prices:  files in ~/.config/ava/devices (see configs/devices/README.md)
"""


def run(_command: str, args: list[str]) -> int:
    """Run one of the subcommands."""
    if not args or args[0] in ("-h", "--help"):
        sys.stdout.write(HELP)
        return 0
    name, *rest = args
    if {"-h", "--help"} & set(rest):
        sys.stdout.write(HELP)
        return 0
    commands = {"list": _list, "show": _show, "detect": _detect}
    if name not in commands:
        raise UsageError(f"there is no command 'hardware {name}'", fix="ava hardware --help")
    return commands[name](rest)


def _list(args: list[str]) -> int:
    from workbench.hardware.devices import device, names

    json = take_flag(args, "--json")
    word = " ".join(args).lower()
    found = [device(name) for name in names()]
    found = [each for each in found if word in f"{each.name} {each.title}".lower()]
    if not found:
        raise UsageError(f"no device is called {word!r}", fix="ava hardware list")
    if json:
        print_json([to_dict(each) for each in found])
        return 0
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    rows = [_row(each) for each in found]
    for column, title in enumerate(("profile", "memory", "TFLOP/s", "per node", "$/hour")):
        # On a narrow terminal the titles of devices take a second row, never names and figures.
        width = max(len(title), *(len(row[column]) for row in rows))
        justify: Literal["left", "right"] = "right" if column else "left"
        table.add_column(title, justify=justify, no_wrap=True, min_width=width)
    table.add_column("device")
    for row in rows:
        table.add_row(*row)
    console().print(table)
    return 0


def _row(profile: HardwareProfile) -> tuple[str, ...]:
    return (
        profile.name,
        units.size(profile.memory_bytes) if profile.memory_bytes else "host's",
        _peak(profile),
        str(profile.devices_per_node),
        f"{profile.price_per_hour:.2f}" if profile.price_per_hour else "–",
        profile.title,
    )


def _peak(profile: HardwareProfile) -> str:
    """The peak of the format that training uses most, with its name."""
    for precision in ("bf16", "fp16", "fp32"):
        if precision in profile.peak_flops:
            return f"{profile.peak_flops[precision] / 1e12:,.0f} {precision}"
    return "–"


def _show(args: list[str]) -> int:
    from workbench.hardware.devices import device

    json = take_flag(args, "--json")
    if len(args) != 1:
        raise UsageError("name one device", fix="ava hardware list shows them")
    profile = device(args[0])
    if json:
        print_json(to_dict(profile))
        return 0
    from rich.table import Table

    out = console()
    out.print(f"[bold]{profile.name}[/]  {profile.title}\n")
    table = Table(box=None, pad_edge=False, header_style="dim", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(style="dim", overflow="fold")
    for label, value, source in _figures(profile):
        table.add_row(label, value, source)
    out.print(table)
    return 0


def _figures(profile: HardwareProfile) -> list[tuple[str, str, str]]:
    def rate(value: float | None) -> str | None:
        return None if value is None else f"{value / 1e9:,.4g} GB/s"

    sources = profile.sources
    precisions = ", ".join(sorted(profile.precisions))
    price = profile.price_per_hour
    rows: list[tuple[str, str | None, str]] = [
        (
            "memory",
            units.size(profile.memory_bytes) if profile.memory_bytes else None,
            "memory_gib",
        ),
        ("precisions", precisions, "precisions"),
        *(
            (f"peak {name}", f"{peak / 1e12:,.4g} TFLOP/s dense", "peak_tflops")
            for name, peak in profile.peak_flops.items()
        ),
        ("memory bandwidth", rate(profile.memory_bandwidth), "memory_gbs"),
        ("to its neighbours", rate(profile.link_bandwidth), "link_gbs"),
        ("to its host", rate(profile.pcie_bandwidth), "pcie_gbs"),
        ("node to node", rate(profile.network_bandwidth), "network_gbs"),
        ("devices in a node", str(profile.devices_per_node), "devices_per_node"),
        (
            "meshes",
            ", ".join(f"[{rows}, {columns}]" for rows, columns in profile.meshes) or None,
            "meshes",
        ),
        (
            "host memory of a node",
            units.size(profile.host_memory_bytes) if profile.host_memory_bytes else None,
            "host_memory_gib",
        ),
        ("power", f"{profile.watts:g} W" if profile.watts else None, "watts"),
        ("price", f"${price:.2f} an hour" if price else None, "price_per_hour"),
    ]
    dated = {"price_per_hour": f" ({profile.price_date})"}
    return [
        (label, value, sources.get(key, "") + dated.get(key, ""))
        for label, value, key in rows
        if value is not None
    ]


def to_dict(profile: HardwareProfile) -> dict[str, Any]:
    """A profile as JSON-ready data."""
    from dataclasses import asdict

    return asdict(profile) | {"precisions": sorted(profile.precisions)}


def _detect(args: list[str]) -> int:
    from workbench.hardware.detect import describe, detect

    json = take_flag(args, "--json")
    if args:
        raise UsageError(f"hardware detect takes no {args[0]!r}", fix="ava hardware detect")
    found = detect()
    if json:
        print_json(found.to_dict())
        return 0
    out = console()
    for line in describe(found):
        out.print(line, markup=False)
    for line in found.not_found:
        out.print(f"not found  {line}", markup=False, style="dim")
    out.print(f"\nprofile    {found.profile}   (ava hardware show {found.profile})", markup=False)
    return 0
