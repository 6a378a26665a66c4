"""Rules about what a plan is called and what it holds."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from workbench import units
from workbench.config.rules.base import Problem, Subject, rule
from workbench.config.size import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

# "1b", "1.5B", "100M", "llama_7b_v2"; not "80gb", "2mb", "8x7b", the b of a hash or "10b tokens".
_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:[.]\d+)?)\s?([mMbBtT])(?![A-Za-z0-9]|[-_ ]?[Tt]ok)")
_UNITS = {"m": 1e6, "b": 1e9, "t": 1e12}
_TOLERANCE = 1.5  # gemma-2b holds 2.5 B, llama-7b 6.7 B


@rule("name-against-size", "warning")
def name_against_size(subject: Subject) -> Iterator[Problem]:
    """A size in the run's name, its tags or the file's name is the size of the model."""
    config = subject.config
    if config.model.model_type == "t5" or config.model.pretrained_path is not None:
        return
    for path, name in _names(subject):
        told = [
            (match[0], float(match[1]) * _UNITS[match[2].lower()]) for match in _SIZE.finditer(name)
        ]
        if not told:
            continue
        size = size_of(config.model)
        held = (size.total, size.active, size.total - size.embedding)
        if not any(_close(claim, each) for _, claim in told for each in held):
            active = (
                f", {units.count(size.active)} of them active" if size.active < size.total else ""
            )
            yield Problem(
                path,
                f"{name!r} says {told[0][0].strip()}, but the model holds "
                f"{units.count(size.total)} parameters{active}",
            )
            return


def _names(subject: Subject) -> Iterator[tuple[str, str]]:
    """Every name with the key to point at: the run's, its tags, the files that shape the model."""
    run = subject.config.run
    if run.name is not None:
        yield "run.name", run.name
    for tag in run.tags or ():
        yield "run.tags", tag
    for path in ("model.num_layers", "model.hidden_size"):
        origin = subject.origins.get(path)
        if origin is not None and origin.file is not None:
            yield path, PurePath(origin.file).stem


def _close(claim: float, held: int) -> bool:
    return held / _TOLERANCE < claim < held * _TOLERANCE
