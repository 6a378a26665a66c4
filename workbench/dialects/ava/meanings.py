"""What a key of Ava's means here: the workbench has Ava's own keys, or lists them as aliases."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from workbench.config.aliases import Alias
from workbench.config.conversions import KEEP
from workbench.config.keys import keys
from workbench.config.spelling import retired, spellings, table
from workbench.dialects.ava.known import known
from workbench.dialects.ava.verdicts import top, verdict
from workbench.dialects.building import To
from workbench.dialects.claims import SILENT, Claim
from workbench.dialects.fitting import NoPlace

if TYPE_CHECKING:
    from workbench.dialects.telling import Teller

_FIRST = (
    "enhanced_features.architecture.expert_routing_type",
    "enhanced_features.architecture.use_moh",
    "enhanced_features.architecture.use_moa",
    "enhanced_features.architecture.use_cross_attention",
    "deepspeed.use_deepspeed",
    "training.mixed_precision",
)
"""Keys that count before the key's own name, because they do upstream."""

_PREFERRED = {
    "deepspeed.enabled": "deepspeed.use_deepspeed",
    "data.path": "data.data_dir",
    "run.name": "run_management.experiment_name",
    "run.runs_dir": "output.output_dir",
    "run.device": "device",
    "model.position_embedding_type": "enhanced_features.architecture.use_alibi",
    "training.moe_balancing.method": "enhanced_features.losses.use_moe_balancing",
}
"""How a key is said where several of Ava's names would do."""


def aliases(path: str) -> tuple[Alias, ...]:
    """The keys here that a key of Ava's sets; none where it has no place."""
    if path in keys():
        return (Alias(path),)
    # The dataclasses of Ava's code have the parts of enhanced_features by themselves.
    return table().get(path) or table().get(f"enhanced_features.{path}", ())


def why_not(path: str) -> str:
    """Why a key of Ava's has no place here."""
    if (reason := retired(path)) is not None:
        return reason
    if top(path) in known():
        return "it has no counterpart here"
    return "neither Ava nor the workbench knows such a key"


def claims(paths: list[str]) -> list[Claim]:
    """The claims that a file with these keys makes, those that count first."""
    made = [
        (_rank(path, alias.target), _claim(path, alias))
        for path in paths
        for alias in aliases(path)
    ]
    return [claim for _, claim in sorted(made, key=lambda pair: pair[0])]


def says(ours: str) -> str | None:
    """The key by which Ava says one of ours; None where it has none."""
    names = sorted(
        (path for path in (ours, *spellings(ours), *_by_target().get(ours, ())) if path in known()),
        key=lambda path: _rank(path, ours),
    )
    return _PREFERRED.get(ours) or (names[0] if names else None)


@cache
def _by_target() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(known()):
        for alias in aliases(path):
            found.setdefault(alias.target, []).append(path)
    return found


def _rank(path: str, ours: str) -> tuple[bool | int | str, ...]:
    """Where a claim stands: what upstream reads, the key's own name, then what is nearest to it."""
    return (
        path not in _FIRST,
        path.startswith("rlhf.") and not ours.startswith("rlhf."),
        verdict(path)[0] != "read",
        path != ours,
        not top(path).startswith("enhanced_features."),
        top(path) != path,
        _places().get(path, -1),
        path,
    )


@cache
def _places() -> dict[str, int]:
    return {path: index for index, path in enumerate(table())}


def _claim(path: str, alias: Alias) -> Claim:
    ours, default = alias.target, keys()[alias.target].default

    def there(value: Any) -> Any:
        if alias.convert is None:
            return value
        said = alias.convert(value, default)
        return SILENT if said is KEEP else said

    def alone(value: Any) -> Any:
        """A switch by itself: on is its word, off is the other one."""
        for current in (*keys()[ours].choices, 0, None):
            if alias.convert is not None and (said := alias.convert(value, current)) is not KEEP:
                return said
        raise NoPlace(f"by itself it says nothing about {ours}")

    def back(value: Any) -> Any:
        return _inverse(alias, value)

    def tell(teller: Teller) -> Any:
        """A list of two numbers says two keys."""
        return [teller.our("training.beta1"), teller.our("training.beta2")]

    pair = len(aliases(path)) > 1
    return Claim(
        path,
        To(ours, there, back, writes=says(ours) == path),
        tell=tell if pair else None,
        alone=alone if alias.convert is not None else None,
    )


def _inverse(alias: Alias, value: Any) -> Any:
    """The value of an alias that means `value`: found by trying, so that it cannot be wrong."""
    if alias.convert is None:
        return value
    words: list[Any] = ["fp32"] if value == "no" else []
    joined = [",".join(map(str, value))] if isinstance(value, list) else []
    for candidate in (True, False, *words, *joined, "dynamic", value):
        try:
            said = alias.convert(candidate, value)
        except (TypeError, ValueError):
            continue
        if (said is KEEP and isinstance(candidate, bool)) or _same(said, value):
            return candidate
    raise NoPlace(f"Ava has no word for {alias.target}: {value}")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
