"""A draft: the editing session that the terminal and the notebook share.

A draft begins with a plan and lays its edits over it as one more layer. Every edit makes a new
plan, which costs about half a millisecond with all findings; undo goes back to an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config.layers import Layer, compose, load
from workbench.errors import ConfigError, UsageError
from workbench.plan import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.config.findings import Edit, Finding, Fix
    from workbench.config.origins import Origin
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.estimate import Estimate
    from workbench.runs.directory import RunDir

EDITS = "edits"
"""Name of the layer that live edits are."""
_STEPS = 1000
_RECIPES = "recipes/"  # a recipe's own values are a layer in memory, and no file of their own
_FILES = "# Written by ava from live edits over the layers that it extends.\n"


class Change(NamedTuple):
    """A key that two plans have different values for.

    Attributes:
        path: The key.
        before: Its value in the plan that is compared against.
        after: Its value now.
        origin: Who sets it now; None for the default.
    """

    path: str
    before: Any
    after: Any
    origin: Origin | None


@dataclass(frozen=True)
class _State:
    """The layers under the edits, and the edits."""

    layers: tuple[Layer, ...]
    edits: dict[str, Any] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()

    @property
    def stack(self) -> list[Layer]:
        below = [_without(layer, self.removed) for layer in self.layers]
        return [*below, Layer(EDITS, _nested(self.edits))] if self.edits else below


_History = list[tuple[str, _State]]


class Draft:
    """One editable plan.

    Args:
        base: The plan to begin with.
    """

    def __init__(self, base: Plan) -> None:
        self.base = base
        self._state = _State(base.composed.layers)
        self._made = self._state, base
        self._past: _History = []
        self._future: _History = []

    # ------------------------------------------------------------------ what follows from it

    @property
    def plan(self) -> Plan:
        """The plan as it stands."""
        if self._made[0] is not self._state:
            self._made = self._state, Plan(compose(self._state.stack), self.base.recipe)
        return self._made[1]

    @property
    def findings(self) -> list[Finding]:
        """Everything to be said about the plan, errors first."""
        return self.plan.findings

    @property
    def config(self) -> Config | None:
        """The typed config, even one that may not be launched; None where a value is no value."""
        return self.plan.typed

    @property
    def hardware(self) -> HardwareProfile | None:
        """The hardware that the plan is for; None is this machine."""
        return self.plan.hardware

    @property
    def estimate(self) -> Estimate | None:
        """What the plan takes; None where the config is none."""
        return self.plan.estimate

    @property
    def edits(self) -> dict[str, Any]:
        """The keys that have been set here, with their values."""
        return dict(self._state.edits)

    def value(self, path: str) -> Any:
        """The value of a key: as checked, or as given where the check fails."""
        from workbench.config.keys import keys, value_at

        if self.config is not None:
            return value_at(self.config, path)
        origin = self.plan.composed.origins.get(path)
        return origin.value if origin is not None else keys()[path].default

    def diff(self, against: Plan | None = None) -> list[Change]:
        """What differs from another plan; by default from the one that the draft began with.

        Empty while either of the two is no valid config.
        """
        from workbench.config.keys import keys, value_at

        before, after = (against or self.base).typed, self.config
        if before is None or after is None:
            return []
        origins = self.plan.composed.origins
        pairs = ((path, value_at(before, path), value_at(after, path)) for path in keys())
        return [Change(path, a, b, origins.get(path)) for path, a, b in pairs if a != b]

    # ------------------------------------------------------------------ edits

    def set(self, path: str, text: str, *, amend: bool = False) -> None:
        """Set a key to what was typed; findings say what is wrong with the value.

        Args:
            path: The key, or its last name.
            text: As it was typed.
            amend: Whether this takes the place of the last step: the value is still being typed.

        Raises:
            UsageError: There is no such key.
            ConfigError: The text is no value at all, such as an open bracket.
        """
        from workbench.config.overrides import find, parse

        found = find(path)
        self.put({found: parse(found, text)}, f"{found} = {text}", amend=amend)

    def put(self, values: dict[str, Any], title: str = "", *, amend: bool = False) -> None:
        """Set several keys as one step."""
        edits = self._state.edits | values
        state = replace(self._state, edits=edits, removed=self._state.removed - values.keys())
        self._step(title or ", ".join(values), state, amend=amend)

    def reset(self, path: str) -> None:
        """Take back what was set here: the value of the layers below holds again."""
        edits = {key: value for key, value in self._state.edits.items() if key != path}
        self._step(f"{path} back", replace(self._state, edits=edits))

    def apply(self, fix: Fix) -> None:
        """Make the edits of a finding's repair, as one step."""
        self.edit(fix.edits, fix.title)

    def edit(self, edits: tuple[Edit, ...], title: str = "") -> None:
        """Make several edits as one step; a removal takes a key out of every layer."""
        values, removed = dict(self._state.edits), set(self._state.removed)
        for each in edits:
            values.pop(each.path, None)
            removed.discard(each.path)
            if each.remove:
                removed.add(each.path)
            else:
                values[each.path] = each.value
        self._step(title, replace(self._state, edits=values, removed=frozenset(removed)))

    def use_hardware(self, name: str | None) -> None:
        """Plan for another device; None is this machine."""
        if name is None:
            self.put({"run.hardware": None}, "this machine")
        else:
            self.put({"run.hardware": name}, f"hardware {name}")

    def add_layer(self, reference: str) -> None:
        """Lay another layer over those that are there, under the edits.

        Raises:
            ConfigError: It cannot be found or read.
        """
        from workbench.config.layers import load

        layers = (*self._state.layers, *load(reference))
        self._step(f"layer {reference}", replace(self._state, layers=layers))

    def keep_global_batch(self) -> str | None:
        """Set the accumulation that gives the first plan's sequences per step.

        Returns:
            Why that is not possible, where it is not.
        """
        from workbench.config.degrees import Degrees
        from workbench.estimate.batch import Batch

        before, after = self.base.typed, self.config
        if before is None or after is None:
            return "the plan has a value that is none"
        wanted = Batch.of(before, Degrees.of(before).data).sequences
        now = Batch.of(after, Degrees.of(after).data)
        at_once = now.micro * now.devices
        if wanted % at_once:
            return (
                f"{wanted:,} sequences a step do not divide by {at_once:,}, which is what "
                f"{now.devices} × {now.micro} see at once"
            )
        steps = wanted // at_once
        if steps != now.accumulation:
            self.put({"training.gradient_accumulation_steps": steps}, f"{wanted:,} sequences kept")
        return None

    def _step(self, title: str, state: _State, *, amend: bool = False) -> None:
        if state == self._state:
            return
        before = self._past.pop()[1] if amend and self._past else self._state
        self._past = [*self._past[-_STEPS:], (title, before)]
        self._future = []
        self._state = state

    # ------------------------------------------------------------------ undo and redo

    @property
    def undoable(self) -> list[str]:
        """What undo would take back, the latest last."""
        return [title for title, _ in self._past]

    @property
    def redoable(self) -> list[str]:
        """What redo would do again, the next last."""
        return [title for title, _ in self._future]

    def undo(self) -> str | None:
        """Take the last step back; returns what it was, None where there is none."""
        return self._swap(self._past, self._future)

    def redo(self) -> str | None:
        """Do again what undo took back; returns what it was, None where there is nothing."""
        return self._swap(self._future, self._past)

    def _swap(
        self, source: list[tuple[str, _State]], other: list[tuple[str, _State]]
    ) -> str | None:
        if not source:
            return None
        title, state = source.pop()
        other.append((title, self._state))
        self._state = state
        return title

    # ------------------------------------------------------------------ out into the world

    def text(self) -> str:
        """The plan as a layer file: it extends the layers that are files, and says the rest.

        Raises:
            ConfigError: A key was removed that stands in a file below, and has no default.
        """
        from workbench.config.layers import EXTENDS
        from workbench.config.render import to_yaml

        below = _references(self._state.layers)
        values = self._beyond([each for name in below for each in load(name)])
        return _FILES + to_yaml(({EXTENDS: below} if below else {}) | _nested(values))

    def _beyond(self, layers: list[Layer]) -> dict[str, Any]:
        """What has to be set over the layers to arrive at this plan.

        Raises:
            ConfigError: A key would have to be taken away that has no default.
        """
        from workbench.config.keys import keys

        there, here = compose(layers).origins, self.plan.composed.origins
        values = {
            path: origin.value
            for path, origin in here.items()
            if path not in there or there[path].value != origin.value
        }
        for path in there.keys() - here.keys():
            if path not in keys():
                raise ConfigError(
                    f"{path} stands in a layer below, and a layer cannot take it away",
                    where=there[path].place(),
                    fix="take it out of that file: ava config repair, or ava config unset",
                )
            values[path] = keys()[path].default
        return values

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the edits as a layer.

        Raises:
            ConfigError: The file is there already, or cannot be written, or a removed key has no
                default.
        """
        text = self.text()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w" if overwrite else "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise ConfigError(
                "there is a file of this name already",
                where=str(path),
                fix="choose another name; nothing has been written",
            ) from None
        except OSError as error:
            raise ConfigError(
                "the layer cannot be written", where=str(path), why=error.strerror or str(error)
            ) from None

    def command(self) -> list[str]:
        """The command line that trains this plan.

        Raises:
            UsageError: An edit cannot be said on a command line.
            ConfigError: A key was removed that stands in a file below, and has no default.
        """
        from workbench.config.render import inline

        recipe = self.base.recipe
        words, layers = ["ava", "train"], []
        if recipe is not None:
            words.append(recipe.name)
            layers = [each for name in recipe.stack for each in load(name)]
            layers += [recipe.own] if recipe.own is not None else []
        for name in _references(self._state.layers[len(layers) :]):
            words += ["--config", name]
            layers += load(name)
        for path, value in self._beyond(layers).items():
            if isinstance(value, dict):
                raise UsageError(
                    f"{path} is a mapping, which a command line cannot say",
                    fix="save the plan as a layer, and train that",
                )
            words += [f"--{path}", value if isinstance(value, str) else inline(value)]
        return words

    def launch(self, name: str | None = None) -> RunDir:
        """Turn the plan into a run.

        Raises:
            FindingsError: The plan has errors.
            RunError: The run cannot be made or started.
        """
        return self.plan.launch(name, command=self.command())


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *parents, last = path.split(".")
        section = tree
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return tree


def _without(layer: Layer, removed: frozenset[str]) -> Layer:
    """The layer without the keys."""
    tree = layer.tree
    for path in removed:
        tree = _pruned(tree, path.split("."))
    return layer if tree is layer.tree else replace(layer, tree=tree)


def _pruned(tree: dict[str, Any], names: list[str]) -> dict[str, Any]:
    first, *rest = names
    if first not in tree:
        return tree
    if not rest:
        return {name: value for name, value in tree.items() if name != first}
    inner = tree[first]
    if not isinstance(inner, dict):
        return tree
    pruned = _pruned(inner, rest)
    return tree if pruned is inner else tree | {first: pruned}


def _references(layers: tuple[Layer, ...]) -> list[str]:
    """The names that load these layers again, without those that another one brings along."""
    from workbench.config.layers import shipped

    names: list[str] = []
    covered: set[str] = set()
    known = set(shipped())
    for layer in reversed(layers):
        name = layer.name if layer.name in known else layer.file
        is_layer = layer.name in known or (name is not None and not layer.name.startswith(_RECIPES))
        if name is None or not is_layer or layer.name in covered:
            continue
        covered |= {each.name for each in load(name)}
        names.append(name)
    return names[::-1]
