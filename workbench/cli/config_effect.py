"""What a key changes in memory and speed, from the estimate: a line for each other value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from workbench import units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.keys import Key
    from workbench.config.schema import Config
    from workbench.estimate.estimate import Estimate
    from workbench.plan import Plan

_MOST_CHOICES = 6


class Effect(NamedTuple):
    """What another value would change.

    Attributes:
        value: The value.
        words: What changes, in words; empty where nothing that is estimated does.
        data: The same as data: ``{figure: [now, then]}``.
    """

    value: Any
    words: str
    data: dict[str, list[float]]


def effects(plan: Plan, key: Key) -> list[Effect]:
    """What other values of a key would change; none where the plan has errors."""
    from pydantic import ValidationError

    from workbench.config.keys import value_at
    from workbench.config.schema import Config
    from workbench.errors import WorkbenchError
    from workbench.estimate.estimate import Estimate
    from workbench.hardware.devices import resolve
    from workbench.hardware.here import with_memory

    try:
        config = plan.config
        hardware, _ = resolve(config, plan.composed.origins)
        hardware, origins = with_memory(hardware), plan.composed.origins
        now = _figures(Estimate.of(config, hardware, origins=origins))
    except WorkbenchError:
        return []
    found = []
    for value in _others(key, value_at(config, key.path)):
        try:
            other = Config.model_validate(_changed(config, key.path, value))
            then = _figures(Estimate.of(other, hardware, origins={*origins, key.path}))
        except (ValidationError, ValueError, ArithmeticError):
            continue  # a value that does not go with the rest tells nothing
        data = {
            name: [now[name], then[name]]
            for name in now
            if name in then and now[name] != then[name]
        }
        if data:
            found.append(Effect(value, ", ".join(_words(data)), data))
    return found


def _others(key: Key, value: Any) -> list[Any]:
    """Other values to look at: the other choices, or twice and half of a number."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int) and value > 0:
        return [value // 2, value * 2] if value > 1 else [value * 2]
    choices = key.kind.replace(" or ", ", ").split(", ")
    if isinstance(value, str) and value in choices and len(choices) <= _MOST_CHOICES:
        return [each for each in choices if each != value]
    return []


def _changed(config: Config, path: str, value: Any) -> dict[str, Any]:
    tree: dict[str, Any] = config.model_dump(mode="json")
    *sections, name = path.split(".")
    place = tree
    for section in sections:
        place = place[section]
    place[name] = value
    return tree


def _figures(estimate: Estimate) -> dict[str, float]:
    speed, time, cost = estimate.speed, estimate.time, estimate.cost
    found: dict[str, float | None] = {
        "parameters": estimate.size.total,
        "memory": estimate.needed,
        "tokens per step": estimate.batch.tokens,
        "tokens per second": None if speed is None else speed.tokens_per_second.likely,
        "hours": None if time is None else time.likely,
        "dollars": None if cost is None else cost.likely,
    }
    return {name: value for name, value in found.items() if value is not None}


def _words(data: dict[str, list[float]]) -> Iterator[str]:
    for name, (now, then) in data.items():
        ratio = then / now - 1 if now else 0.0
        if abs(ratio) < 0.0005:
            continue
        shown = {"memory": units.size, "hours": _hours}.get(name, units.count)
        label = {"hours": "time", "dollars": "$"}.get(name, name)
        yield f"{label} {shown(now)} → {shown(then)} ({ratio:+.0%})"


def _hours(hours: float) -> str:
    return units.duration(hours * 3600)
