"""Which systems there are, which of them a file belongs to, and reading it with the right one."""

from __future__ import annotations

import difflib
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from workbench.dialects.base import Dialect, Foreign, Guess, Reading, Remark
from workbench.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("ava", "deepseek_v3", "deepspeed", "aws_fsdp", "tenstorrent", "huggingface")
"""Names of the systems; each is a package ``workbench.dialects.NAME`` that exposes ``DIALECT``."""

_STRUCTURED = (".json", ".jsonc", ".hjson", ".yaml", ".yml")
_SURE = 0.2  # below it a guess is no better than none


def dialect(name: str) -> Dialect:
    """The dialect of that name; importing it happens here and not before.

    Raises:
        UsageError: There is none.
    """
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1) or NAMES
        raise UsageError(f"there is no system {name!r}", fix=f"one of: {', '.join(close)}")
    found: Dialect = import_module(f"workbench.dialects.{name}").DIALECT
    return found


def guess(foreign: Foreign) -> list[tuple[str, Guess]]:
    """The systems that a text may belong to, the likeliest first."""
    found = [(name, dialect(name).recognise(foreign)) for name in NAMES]
    known = [(name, each) for name, each in found if each is not None and each.score > 0]
    return sorted(known, key=lambda pair: -pair[1].score)


def system_of(foreign: Foreign) -> tuple[str, Guess]:
    """The likeliest system of a text.

    Raises:
        ConfigError: It looks like none.
    """
    ranked = guess(foreign)
    if not ranked or ranked[0][1].score < _SURE:
        raise _unknown(foreign)
    return ranked[0]


def understand(
    foreign: Foreign, system: str | None = None, remarks: Sequence[Remark] = ()
) -> tuple[Reading, Guess]:
    """Read a text with the dialect of `system`, or with the likeliest one.

    Args:
        foreign: The text.
        system: Name of the system; None guesses.
        remarks: What opening the file had to say; it stands first in the reading's remarks.

    Raises:
        ConfigError: It looks like no system's, or cannot be understood.
        UsageError: There is no such system.
    """
    found = Guess(1.0, "you said so")
    if system is None:
        system, found = system_of(foreign)
    reading = dialect(system).read(foreign)
    if remarks:
        reading = replace(reading, remarks=(*remarks, *reading.remarks))
    return reading, found


def _unknown(foreign: Foreign) -> ConfigError:
    """Why nobody's: the text cannot be read at all, or its keys are unknown."""
    from workbench.dialects.parsing import parse

    why = None
    try:
        tree = parse(foreign, last_wins=True)[0].tree
        why = "it has " + (", ".join(repr(name[:40]) for name in list(tree)[:4]) or "no keys")
    except ConfigError as error:
        if foreign.path.suffix.lower() in _STRUCTURED:
            return error
    return ConfigError(
        "the file looks like none of the known systems' configs",
        where=str(foreign.path),
        why=why,
        fix=f"name the system with --from: {', '.join(NAMES)}",
    )
