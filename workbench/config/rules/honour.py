"""Rules about keys that are written down but would not do what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.keys import Key, keys, value_at
from workbench.config.render import inline
from workbench.config.rules.base import Problem, Subject, put, rule
from workbench.config.spelling import retired

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = 100
CHANGES_THE_TASK = (
    "data.format",
    "model.router_type",
    "model.use_cross_attention",
    "parallel.context_parallel_size",
    "parallel.expert_parallel_size",
    "parallel.pipeline_parallel_size",
    "parallel.tensor_parallel_size",
    "quantization.nvfp4.enabled",
    "quantization.quantization_aware",
    "rag.enabled",
    "rlhf.enabled",
)
"""Keys without which a run would be another training than the one asked for: no launch then."""


@rule("not-honoured", "warning")
def not_honoured(subject: Subject) -> Iterator[Problem]:
    """Today's trainer acts on what the key says.

    What hangs on a switch that is itself not honoured is named with the switch, once.
    """
    told = {key.path: reason for key, reason in _unhonoured(subject)}
    hanging: dict[str, list[Key]] = {}
    for path in told:
        if (switch := _switch(path, told)) is not None:
            hanging.setdefault(switch, []).append(keys()[path])
    below = {key.path for found in hanging.values() for key in found}
    for path, reason in told.items():
        if path in below:
            continue
        others = hanging.get(path, [])
        more = f", nor is what hangs on it: {_names(others, path)}" if others else ""
        edits = {each.path: each.default for each in (keys()[path], *others)}
        yield Problem(
            path,
            f"{path}: {_short(value_at(subject.config, path))} is not honoured yet{more} "
            f"({reason})",
            ((f"train without it: {path}: {inline(keys()[path].default)}", edits),),
        )


@rule("without-effect", "hint")
def without_effect(subject: Subject) -> Iterator[Problem]:
    """A key that is set takes effect: the switch that it hangs on is on."""
    idle: dict[str, list[Key]] = {}
    for key in _set_apart(subject):
        if (switch := _first_off(key, subject)) is not None:
            idle.setdefault(switch, []).append(key)
    for switch, found in idle.items():
        path, _, word = switch.partition("=")
        has = "has" if len(found) == 1 else "have"
        yield Problem(
            found[0].path,
            f"{_names(found)} {has} no effect while {path} is "
            f"{inline(value_at(subject.config, path))}",
            (put(path, word or True),),
        )


@rule("retired-key", "warning")
def retired_key(subject: Subject) -> Iterator[Problem]:
    """No key is one of another trainer that means nothing here."""
    for path in subject.origins:
        if path not in keys() and (reason := retired(path)) is not None:
            yield Problem(path, f"{path} is not used here: {reason}")


def _set_apart(subject: Subject) -> Iterator[Key]:
    """Keys to which a layer gives another value than the trainer's own."""
    for path in subject.origins:
        key = keys().get(path)
        if key is not None and value_at(subject.config, path) != key.default:
            yield key


def _unhonoured(subject: Subject) -> Iterator[tuple[Key, str]]:
    for key in _set_apart(subject):
        reason = key.why_unhonoured(value_at(subject.config, key.path))
        if reason is not None and _first_off(key, subject) is None:
            yield key, reason


def _first_off(key: Key, subject: Subject) -> str | None:
    """The outermost switch above a key that is off."""
    off = None
    for switch in _switches(key):
        path, _, word = switch.partition("=")
        value = value_at(subject.config, path)
        if value != word if word else not value:
            off = switch
    return off


def _switches(key: Key) -> Iterator[str]:
    """The switches above a key, the nearest first."""
    while key.needs is not None:
        yield key.needs
        key = keys()[key.needs.partition("=")[0]]


def _switch(path: str, told: dict[str, str]) -> str | None:
    """The outermost switch above a key that is not honoured either."""
    above = [switch.partition("=")[0] for switch in _switches(keys()[path])]
    return next((switch for switch in reversed(above) if switch in told), None)


def _names(found: list[Key], beside: str = "") -> str:
    """The keys, without the section that they share with the key that was named before."""
    section = beside.rpartition(".")[0] + "."
    return ", ".join(key.path.removeprefix(section) if beside else key.path for key in found)


def _short(value: object) -> str:
    text = inline(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
