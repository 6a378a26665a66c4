"""Hostfiles: one ``name slots=8`` per line, the machines that DeepSpeed starts processes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from workbench.config.origins import Mark
from workbench.dialects.building import Builder
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Reading

LINE = re.compile(r"^([A-Za-z0-9][\w.:\-]*)\s+slots\s*=\s*(\d+)\s*$")
_DIGITS = 7
_MOST = 100_000  # machines times devices; no cluster has more


def looks_like_hostfile(text: str) -> bool:
    """Whether the first line that says something is one of a hostfile."""
    first = next((line for line in _lines(text)), "")
    return LINE.match(first) is not None


def read_hostfile(foreign: Foreign) -> Reading:
    """Nodes and devices per node.

    Raises:
        ConfigError: A line is no ``name slots=N``, a host stands twice, or there is none.
    """
    hosts: dict[str, int] = {}
    marks: dict[tuple[str | int, ...], Mark] = {}
    for number, line in enumerate(foreign.text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        found = LINE.match(said)
        where = f"{foreign.path}:{number}"
        if found is None:
            raise ConfigError(
                "Hostfile is not formatted correctly, unable to proceed with training.",
                where=where,
                why=f"the line is {said[:60]!r}",
                fix="one machine per line: worker-1 slots=8",
            )
        name, slots = found[1], int(found[2]) if len(found[2]) < _DIGITS else _MOST + 1
        if name in hosts:
            raise ConfigError(
                f"Hostfile contains multiple entries for {name}, unable to proceed with training.",
                where=where,
                fix="keep one of the two",
            )
        hosts[name] = slots
        marks["hostfile", name] = Mark(number, 1)
    if not 0 < (total := sum(hosts.values())) <= _MOST:
        raise ConfigError(
            f"the hostfile names {'more devices than any cluster has' if total else 'no devices'}",
            where=str(foreign.path),
            fix="worker-1 slots=8",
        )
    return _reading(foreign, hosts, marks)


def _reading(
    foreign: Foreign, hosts: dict[str, int], marks: dict[tuple[str | int, ...], Mark]
) -> Reading:
    builder = Builder("deepspeed", foreign, {"hostfile": dict(hosts)}, marks)
    fewest = min(hosts.values())
    first = ("hostfile", next(iter(hosts)))
    builder.put("parallel.num_nodes", len(hosts), said_by=first)
    builder.put("parallel.devices_per_node", max(1, fewest), said_by=first)
    builder.remark(
        first,
        "translated",
        f"{len(hosts)} × {fewest} devices: parallel.num_nodes, devices_per_node",
    )
    if len(set(hosts.values())) > 1:
        builder.assume(
            first,
            f"every machine uses {fewest} devices, for a plan has equal nodes; DeepSpeed would "
            f"start {sum(hosts.values())} processes",
        )
    return builder.reading(rest="names of machines belong to a cluster, not to a plan")


def write_hostfile(hosts: dict[str, int]) -> str:
    """The text of a hostfile."""
    return "".join(f"{name} slots={slots}\n" for name, slots in hosts.items())


def _lines(text: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines()[:50])
    return [line for line in lines if line]
