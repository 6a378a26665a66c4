"""Going on with a run: as it was, longer, or with another value where that is safe.

A checkpoint holds weights, optimizer state, random numbers and the place in the data. A key may be
changed on the way when all of that keeps its meaning under the new value. What is changed is said
in the run's events and on top of its config.yaml, and the changed value's origin says since when.
"""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import Config
    from workbench.runs.directory import RunDir

CHANGEABLE: Final = (
    "training.max_steps",
    "training.learning_rate",
    "training.lr_*",
    "training.weight_decay",
    "training.max_gradient_norm",
    "training.clip_grad_value",
    "training.gradient_checkpointing",
    "training.eval_*",
    "training.early_stopping_*",
    "training.save_*",
    "training.logging_steps",
    "evaluation.*",
    "checkpointing.keep_best_n",
    "checkpointing.memory_tier.*",
    "checkpointing.storage_tier.*",
    "logging.*",
    "data.max_eval_examples",
    "data.dataloader_*",
    "run.description",
    "run.tags",
    "run.queue",
    "run.max_restarts",
)
"""Keys that may change on the way; all others are part of what the checkpoint means."""

_HISTORY: Final = "# changed "


def resume(
    run: RunDir, overrides: Mapping[str, str] | None = None, *, queue: bool | None = None
) -> dict[str, tuple[Any, Any]]:
    """Go on with a run from its newest good checkpoint.

    Args:
        run: The run.
        overrides: ``{key: text}`` as typed on a command line.
        queue: Whether to wait until the devices are free; None does as the config says.

    Returns:
        The changed keys with the values before and after.

    Raises:
        UsageError: A key does not exist, or may not change on the way.
        FindingsError: A value cannot stand there.
        RunError: The run is running, or has nothing left to do.
    """
    from workbench.runs.control import start
    from workbench.runs.status import verdict

    state = verdict(run)
    if state.alive:
        raise RunError(
            f"{run.name} is {state.state}",
            where=str(run.path),
            fix=f"ava runs watch {run.name}\nava runs stop {run.name}",
        )
    changes, message = change(run, overrides or {})
    steps = changes.get("training.max_steps", (None, state.max_steps))[1]
    if state.state == "finished" and steps is not None and steps <= state.step:
        raise RunError(
            f"{run.name} has finished: nothing is left to do",
            where=str(run.path),
            fix=f"more steps: ava runs extend {run.name} --to {2 * max(1, state.step)}",
        )
    start(run, queue=queue, changes=message)
    return changes


def change(
    run: RunDir, overrides: Mapping[str, str]
) -> tuple[dict[str, tuple[Any, Any]], dict[str, Any] | None]:
    """A run's config with other values: what differs, and the message to its next supervisor.

    Raises:
        UsageError: A key does not exist, or may not change on the way.
        FindingsError: A value cannot stand there.
    """
    from workbench.config.keys import value_at
    from workbench.config.overrides import resolve_key
    from workbench.config.render import to_yaml

    if not overrides:
        return {}, None
    paths = {resolve_key(given) for given in overrides}
    if fixed := sorted(path for path in paths if not _may_change(path)):
        raise UsageError(
            f"{fixed[0]} cannot be changed in a run that has begun",
            why="its checkpoints hold a state that has no meaning under another value",
            fix="start a new run with it: ava train …",
        )
    before, after = _validated(run, {}), _validated(run, overrides)
    changes = {
        path: (value_at(before, path), value_at(after, path))
        for path in sorted(paths)
        if value_at(before, path) != value_at(after, path)
    }
    if not changes:
        return {}, None
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    tree = after.model_dump(mode="json")
    history = [
        f"{_HISTORY}{now}, before attempt {len(run.attempts()) + 1}: {path}: "
        f"{_inline(old)} -> {_inline(new)}"
        for path, (old, new) in changes.items()
    ]
    message = {
        "config": tree,
        "origins": run.origins()
        | {path: _origin(run, path, changes[path], now) for path in changes},
        "yaml": "\n".join([*_history(run), *history, to_yaml(tree)]),
        "changes": {path: list(pair) for path, pair in changes.items()},
    }
    return changes, message


def _may_change(path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in CHANGEABLE)


def _validated(run: RunDir, overrides: Mapping[str, str]) -> Config:
    from workbench.config import overrides as command_line
    from workbench.config.checking import validate
    from workbench.config.findings import FindingsError
    from workbench.config.layers import Layer, compose

    layers = [Layer(f"run {run.name}", run.config(), str(run.config_path))]
    if overrides:
        layers.append(command_line.layer(dict(overrides)))
    config, findings = validate(compose(layers))
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors or config is None:
        raise FindingsError(errors)
    return config


def _origin(run: RunDir, path: str, pair: tuple[Any, Any], now: str) -> dict[str, Any]:
    """Where the value comes from now; what was there before is shadowed, and not lost."""
    old, new = pair
    before = dict(run.origins().get(path) or {"layer": "default", "value": old})
    shadowed = [{key: value for key, value in before.items() if key != "shadowed"}]
    shadowed += before.get("shadowed", [])
    return {"layer": f"resumed {now}", "value": new, "shadowed": shadowed}


def _history(run: RunDir) -> list[str]:
    """What the config.yaml says so far about changes."""
    from workbench.runs.files import read_bytes

    try:
        text = read_bytes(run.path / "config.yaml").decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.startswith(_HISTORY)]


def _inline(value: Any) -> str:
    from workbench.config.render import inline

    return inline(value).replace("\n", " ")
