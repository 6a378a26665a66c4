"""What reading and writing another system's config comes to.

A dialect reads a foreign text into a layer, and into residue: keys that mean something to the other
system and have no place here. Residue travels with the layer, under ``imported``, so that writing
the config back finds it. Writing names what it could not say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.config.layers import Layer
    from workbench.config.schema import Config

Verdict = Literal["read", "ignored", "refused", "unknown"]
"""What the system's own trainer does with a key."""

Kind = Literal["upstream", "translated", "assumed", "repaired"]
"""About what a remark is: upstream's behaviour, a change of words, a guess of ours, a repair."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A text in another system's words.

    Attributes:
        path: Its file.
        text: Its content, decoded.
    """

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Guess:
    """How much a text looks like a system's.

    Attributes:
        score: From 0, not at all, to 1, certainly.
        reason: What in it says so, for a person: ``it has "train_micro_batch_size_per_gpu"``.
    """

    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a key that a person should know.

    Attributes:
        path: The key in the foreign file, ``optimizer.params.lr``; empty for the whole file.
        kind: About what it is.
        verdict: What upstream does with the key, for remarks about upstream.
        message: What to know; where upstream refuses, with its own message.
        line: Line of the key, from 1; None where there is none.
    """

    path: str
    kind: Kind
    message: str
    verdict: Verdict | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Residue:
    """A key without a place in the workbench.

    Attributes:
        path: Names from the root of the foreign file to the key.
        value: Its value, as read.
        reason: Why it has no place.
        line: Line of the key, from 1.
    """

    path: tuple[str, ...]
    value: Any
    reason: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A foreign config, understood.

    Attributes:
        system: Name of the dialect.
        layer: What it says in the workbench's words; its marks point into the foreign file. The
            residue stands in it, under ``imported``.
        residue: The same residue, with reasons.
        remarks: What was translated, assumed or repaired, and what upstream does.
        places: The key here that each foreign key went to: ``{"gradient_clipping":
            ("training.max_gradient_norm",)}``.
    """

    system: str
    layer: Layer
    residue: tuple[Residue, ...] = ()
    remarks: tuple[Remark, ...] = ()
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lost:
    """A value that the other system cannot say.

    Attributes:
        path: The key here.
        value: Its value.
        reason: Why it is lost.
    """

    path: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True)
class Writing:
    """A config in another system's words.

    Attributes:
        files: Text by file name.
        lost: What is not in them.
        command: How the system is started with them; empty where it has no command.
    """

    files: dict[str, str]
    lost: tuple[Lost, ...] = ()
    command: str = ""


class Dialect(Protocol):
    """A system's words."""

    name: str
    """The name that ``--from`` takes."""
    title: str
    """The system's own name."""

    def recognise(self, foreign: Foreign) -> Guess | None:
        """How much a text looks like this system's; None where it cannot be."""

    def read(self, foreign: Foreign) -> Reading:
        """Understand a text.

        Raises:
            ConfigError: It cannot be understood: what, where (file:line), why, what to do.
        """

    def write(self, config: Config, *, chosen: frozenset[str]) -> Writing:
        """Say a config in this system's words.

        Args:
            config: The config; the residue of an earlier reading stands in `config.imported`.
            chosen: The keys that a layer set; everything else is a default.
        """
