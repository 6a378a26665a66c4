"""Where the flags stand: in a list, in a shell script, or in the manifest of a cluster.

What stands around them is kept with a marker in their place, so that they can be put back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from workbench.dialects.aws_fsdp.flags import find
from workbench.dialects.aws_fsdp.shell import Token, assignments, resolve, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARKER: Final = "@TRAINING_ARGS@"
"""Stands for the flags in what is kept of a script or a manifest."""

_SBATCH = re.compile(r"^#SBATCH\s+(-N|--?[\w-]+)(?:[ =]+([^\s#]+))?", re.MULTILINE)
_SLURM: Final = {
    "SLURM_JOB_NUM_NODES": ("nodes", "N"),
    "SLURM_NNODES": ("nodes", "N"),
    "SLURM_GPUS_PER_NODE": ("gpus-per-node",),
    "SLURM_GPUS_ON_NODE": ("gpus-per-node",),
    "SLURM_NTASKS_PER_NODE": ("ntasks-per-node",),
}
_LAUNCH: Final = {
    "nproc_per_node": "devices",
    "nproc-per-node": "devices",
    "nnodes": "nodes",
}


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command and its line."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Launch:
    """What the file says about the machines, each as it is written; None where it does not.

    Attributes:
        nodes: Machines: a number, or a placeholder.
        devices: Processes on each, one per device.
        nodes_line: Line of the number of machines.
        devices_line: Line of the number of processes.
    """

    nodes: str | None = None
    devices: str | None = None
    nodes_line: int | None = None
    devices_line: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A text with flags.

    Attributes:
        words: The words of the flags, in order.
        around: The text with a marker for the flags; None where there is nothing but flags.
        launch: The machines.
        variables: What the script sets.
    """

    words: tuple[Word, ...]
    around: str | None = None
    launch: Launch = field(default_factory=Launch)
    variables: dict[str, str] = field(default_factory=dict)


def shell_source(text: str, name: str) -> Source:
    """The flags of a list or a script.

    Raises:
        ConfigError: A quote is never closed.
    """
    text = re.sub(r"^[ \t]*```.*$", lambda found: " " * len(found[0]), text, flags=re.MULTILINE)
    found = tokens(text, name)
    variables = {**_slurm(text), **assignments(found)}
    groups = [group for group in map(_arguments, _segments(found)) if _known(group)]
    if not groups:
        return Source((), None, Launch(), variables)
    main = max(groups, key=_known)
    cut = [group for group in groups if group is main or _known(group) > 1]
    words = [Word(token.text, token.line) for group in cut for token in group]
    around = text
    for group in reversed(cut):
        marker = MARKER if group is main else ""
        around = around[: group[0].start] + marker + around[group[-1].end :]
    bare = re.sub(r"^\s*#(?!SBATCH|!).*$", "", around, flags=re.MULTILINE)
    rest = [t for t in tokens(bare, name) if t.sort == "word" and t.text != MARKER]
    launch = launch_of((Word(t.text, t.line) for t in found if t.sort == "word"), variables)
    launch = _with_sbatch(launch, text)
    return Source(tuple(words), around if rest or "#!" in bare else None, launch, variables)


def launch_of(words: Iterator[Word], variables: Mapping[str, str]) -> Launch:
    """The machines that torchrun's words ask for."""
    said: dict[str, tuple[str, int]] = {}
    listed = list(words)
    for index, word in enumerate(listed):
        name, equals, value = word.text.removeprefix("--").partition("=")
        what = _LAUNCH.get(name) if word.text.startswith("--") else None
        if what is None:
            continue
        if not equals and index + 1 < len(listed):
            value = listed[index + 1].text
        said[what] = (resolve(value, variables), word.line)
    nodes, devices = said.get("nodes", (None, None)), said.get("devices", (None, None))
    return Launch(nodes[0], devices[0], nodes[1], devices[1])


def _with_sbatch(launch: Launch, text: str) -> Launch:
    """What #SBATCH says where torchrun's words do not."""
    asked = _sbatch(text)
    nodes = asked.get("nodes") or asked.get("N")
    devices = asked.get("gpus-per-node") or asked.get("gres")
    return Launch(
        launch.nodes or (nodes[0] if nodes else None),
        launch.devices or (devices[0] if devices else None),
        launch.nodes_line or (nodes[1] if nodes else None),
        launch.devices_line or (devices[1] if devices else None),
    )


def _sbatch(text: str) -> dict[str, tuple[str, int]]:
    """The options of #SBATCH lines, with their lines; ``gpu:h100:8`` is 8."""
    found = {}
    for match in _SBATCH.finditer(text):
        name, value = match[1].lstrip("-"), match[2] or ""
        if name in ("gres", "gpus-per-node"):
            value = value.rpartition(":")[2]
        found[name] = (value, text.count("\n", 0, match.start()) + 1)
    return found


def _slurm(text: str) -> dict[str, str]:
    asked = _sbatch(text)
    return {
        variable: asked[option][0]
        for variable, options in _SLURM.items()
        for option in options
        if option in asked and asked[option][0]
    }


def _segments(found: list[Token]) -> list[list[Token]]:
    """Commands and arrays, each as its words; lines that begin with a flag go on with the last."""
    made: list[list[Token]] = [[]]
    inside = False
    for index, token in enumerate(found):
        if token.sort == "open":
            before = found[index - 1] if index else None
            inside = before is not None and before.sort == "word" and before.text.endswith("=")
            made.append([])
        elif token.sort == "close":
            inside = False
            made.append([])
        elif token.sort == "break":
            if not inside:
                made.append([])
        else:
            made[-1].append(token)
    joined: list[list[Token]] = []
    for words in filter(None, made):
        goes_on = bool(joined) and words[0].text.startswith("--")
        if goes_on and not any(
            t.sort in ("open", "close") for t in _between(found, joined[-1], words)
        ):
            joined[-1] = joined[-1] + words
        else:
            joined.append(words)
    return joined


def _between(found: list[Token], one: list[Token], other: list[Token]) -> list[Token]:
    return [token for token in found if one[-1].end <= token.start < other[0].start]


def _arguments(words: list[Token]) -> list[Token]:
    """The words behind the trainer's script, or all from the first flag of the trainer's on."""
    for index, word in enumerate(words):
        if word.text.endswith(".py") or word.text in ("$TRAIN_SCRIPT", "${TRAIN_SCRIPT}"):
            return words[index + 1 :]
    for index, word in enumerate(words):
        if word.text.startswith("--"):
            return words[index:]
    return []


def _known(words: list[Token]) -> int:
    return sum(is_known(word.text) for word in words)


def is_known(word: str) -> bool:
    """Whether a word is a flag of the trainer's, present or past."""
    return word.startswith("--") and find(word[2:].partition("=")[0])[0] is not None
