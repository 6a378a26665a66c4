"""A plan: layers resolved into one config, checked, ready to launch; and recipes, named plans."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigError, UsageError, WorkbenchError
from workbench.resources import data_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.document import Document
    from workbench.config.findings import Finding
    from workbench.config.layers import Composed, Layer
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.estimate import Estimate
    from workbench.runs.directory import RunDir


@dataclass(frozen=True, slots=True)
class Recipe:
    """A one-click stack of layers with the words that help to choose it.

    Attributes:
        name: Name of its file.
        title: What it is, in a few words.
        summary: What it is for.
        objective: ``pre-train``, ``fine-tune``, ``RLHF`` or ``test``.
        hardware: What it is meant to run on.
        budget: What it takes: time, or steps and tokens.
        stack: References of its layers, the later over the earlier.
        path: Its file.
        parameters: Size of its model.
        own: The values that it sets itself, over its stack.
        featured: Whether short lists show it; the others are other systems' examples.
    """

    name: str
    title: str
    summary: str
    objective: str
    hardware: str
    budget: str
    stack: tuple[str, ...]
    path: Path
    parameters: int | None = None
    own: Layer | None = None
    featured: bool = True


# run.objective follows from the recipe's, so that no recipe has to say it twice.
_OBJECTIVES = {"pre-train": "pretrain", "fine-tune": "finetune", "RLHF": "rlhf", "test": "test"}


_LAST_FEATURED = 100  # an ``order`` above it is another system's example, or a model's


def recipes() -> list[Recipe]:
    """All shipped recipes, in the order of their ``order`` key."""
    found = [_read_recipe(path) for path in (data_dir("configs") / "recipes").glob("*.yaml")]
    return [recipe for _, recipe in sorted(found, key=lambda pair: (pair[0], pair[1].name))]


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: There is none.
    """
    known = {path.stem: path for path in (data_dir("configs") / "recipes").glob("*.yaml")}
    if name not in known:
        import difflib

        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"one of: {', '.join(close)}" if close else "ava config presets shows them all"
        if Path(name).suffix in (".yaml", ".yml") or "/" in name:
            hint += f"\na config file is given with: --config {name}"
        raise UsageError(f"there is no recipe {name!r}", fix=hint)
    return _read_recipe(known[name])[1]


def _read_recipe(path: Path) -> tuple[int, Recipe]:
    from workbench.config.reading import read_file

    document = read_file(path)
    tree = document.tree
    try:
        return int(tree["order"]), Recipe(
            name=path.stem,
            title=str(tree["title"]),
            summary=str(tree["summary"]),
            objective=str(tree["objective"]),
            hardware=str(tree["hardware"]),
            budget=str(tree["budget"]),
            stack=tuple(str(item) for item in tree["stack"]),
            path=path,
            parameters=tree.get("parameters"),
            own=_own_layer(path, document),
            featured=int(tree["order"]) <= _LAST_FEATURED,
        )
    except KeyError as error:
        raise ConfigError(f"the recipe has no {error.args[0]!r}", where=str(path)) from None


def _own_layer(path: Path, document: Document) -> Layer:
    """What stands under ``config:`` in the recipe, and its objective."""
    from workbench.config.layers import Layer

    marks = {
        key[1:]: mark for key, mark in document.marks.items() if key[0] == "config" and key[1:]
    }
    tree = dict(document.tree.get("config") or {})
    objective = _OBJECTIVES.get(document.tree["objective"])
    if objective is not None and "objective" not in tree.get("run", {}):
        tree["run"] = {"objective": objective, **tree.get("run", {})}
        marks["run", "objective"] = document.marks["objective",]
    return Layer(f"recipes/{path.stem}", tree, str(path), marks)


@dataclass(frozen=True)
class Plan:
    """One resolved run: the composed layers and everything that follows from them."""

    composed: Composed
    recipe: Recipe | None = None

    @cached_property
    def _checked(self) -> tuple[Config | None, list[Finding]]:
        """The config, and the findings that follow from the plan alone."""
        from workbench.config.checking import validate
        from workbench.config.rules import Subject, check
        from workbench.hardware.devices import resolve

        config, findings = validate(self.composed)
        notes = [note for layer in self.composed.layers for note in layer.notes]
        if config is None:
            return None, findings + notes
        hardware, unknown = resolve(config, self.composed.origins)
        return config, unknown + check(Subject(config, self.composed.origins, hardware)) + notes

    @cached_property
    def findings(self) -> list[Finding]:
        """Everything that is to be said about the plan, errors first.

        For a plan that is made for this machine, that includes files which are not there.
        """
        config, findings = self._checked
        if config is None or config.run.hardware is not None:
            return findings
        return self._missing(config) + findings

    def _launch_findings(self, config: Config) -> list[Finding]:
        """The findings at a launch: here and now, by today's trainer."""
        from workbench.config.rules.honour import CHANGES_THE_TASK

        def judged(finding: Finding) -> Finding:
            if finding.rule == "not-honoured" and finding.path in CHANGES_THE_TASK:
                message = f"{finding.message}: this would be another training than you ask for"
                return replace(finding, severity="error", message=message)
            return finding

        secrets = _secrets_of_the_environment(config, self.composed.origins)
        return self._missing(config) + secrets + [judged(each) for each in self._checked[1]]

    def _missing(self, config: Config) -> list[Finding]:
        """Findings on files and folders that the trainer would read and that are not there."""
        from workbench.config.keys import keys, value_at
        from workbench.config.rules import Subject
        from workbench.config.rules.base import RULES
        from workbench.config.rules.data import PATH_KEYS
        from workbench.config.schema.data.naming import is_path

        def is_missing(value: Any) -> bool:
            named = value if isinstance(value, list | tuple | dict) else [value]
            return not all(_exists(path) for path in named if isinstance(path, str))

        given = [path for path in PATH_KEYS if path in self.composed.origins]
        read = [
            path for path in given if keys()[path].why_unhonoured(value_at(config, path)) is None
        ]
        if not is_path(config.data.tokenizer_name):  # bytes, or a name of the hub
            read = [path for path in read if path != "data.tokenizer_name"]
        missing = frozenset(path for path in read if is_missing(value_at(config, path)))
        # The fallbacks are tried one after the other: one that is there will do.
        if any(_exists(p) for p in (config.data.path, *(config.data.fallback_paths or ())) if p):
            missing -= {"data.path", "data.fallback_paths"}
        subject = Subject(config, self.composed.origins, missing_paths=missing)
        return list(RULES["missing-path"].findings(subject))

    @property
    def config(self) -> Config:
        """The typed config.

        Raises:
            FindingsError: The plan has errors; all of them are in the message.
        """
        config, findings = self._checked
        _stop_at_errors(findings)
        assert config is not None, "a plan without config has errors"
        return config

    @property
    def typed(self) -> Config | None:
        """The typed config, even of a plan that may not be launched; None where a value is none."""
        return self._checked[0]

    @cached_property
    def hardware(self) -> HardwareProfile | None:
        """The hardware that the plan is for; None is this machine, or a name that nothing has."""
        from workbench.hardware.devices import resolve

        return None if self.typed is None else resolve(self.typed, self.composed.origins)[0]

    @cached_property
    def estimate(self) -> Estimate | None:
        """What the plan takes; None where a value is none."""
        from workbench.estimate.estimate import Estimate

        return None if self.typed is None else Estimate.of(self.typed, self.hardware)

    @property
    def tree(self) -> dict[str, Any]:
        """The full config as plain values, defaults included."""
        return self.config.model_dump(mode="json")

    @property
    def origins(self) -> dict[str, dict[str, Any]]:
        """The origin of every value that a layer set, as JSON-ready data."""
        return {path: origin.to_dict() for path, origin in self.composed.origins.items()}

    @property
    def equation(self) -> str:
        """The batch identity with its numbers."""
        from workbench.config.degrees import Degrees
        from workbench.estimate.batch import Batch

        return Batch.of(self.config, Degrees.of(self.config).data).equation()

    def prediction(self) -> dict[str, Any]:
        """What is predicted for this plan, JSON-ready; what is not known is named there.

        It goes into the run directory at the launch. A prediction that fails stops no training.
        """
        from workbench.estimate.estimate import Estimate
        from workbench.hardware.devices import resolve

        try:
            hardware, _ = resolve(self.config, self.composed.origins)
            origins = self.composed.origins
            return Estimate.of(self.config, hardware, origins=origins).to_dict()
        except Exception as error:  # noqa: BLE001 - whatever it is, the run is what was asked for
            return {"error": f"{type(error).__name__}: {error}"}

    def launch(self, name: str | None = None, *, command: list[str] | None = None) -> RunDir:
        """Make the run's directory and start its supervisor.

        Args:
            name: Name of the run; by default ``run.name``, or one made from recipe and time.
            command: The command line that a person would type for this plan.

        Raises:
            FindingsError: The plan has errors.
            RunError: The directory cannot be made or the supervisor does not start.
        """
        config = self.config
        _stop_at_errors(self._launch_findings(config))

        from workbench import __version__
        from workbench.config.render import to_yaml
        from workbench.runs.control import start
        from workbench.runs.directory import create_run, delete_run, expanded

        run = create_run(
            expanded(config.run.runs_dir),
            name or config.run.name,
            config=self.tree,
            origins=self.origins,
            config_yaml=to_yaml(self.tree),
            estimate=self.prediction(),
            meta={
                "recipe": self.recipe.name if self.recipe else None,
                "title": self.recipe.title if self.recipe else None,
                "stack": list(self.composed.stack),
                "command": command or ["ava", *sys.argv[1:]],
                "cwd": str(Path.cwd()),
                "workbench_version": __version__,
                "python": sys.version.split()[0],
            },
        )
        try:
            start(run)
        except WorkbenchError:
            with contextlib.suppress(WorkbenchError):
                delete_run(run)  # a run that never began is not left behind
            raise
        return run


def _secrets_of_the_environment(config: Config, origins: Mapping[str, Any]) -> list[Finding]:
    """Findings on values of secret variables that have been copied into the config."""
    import os

    from workbench.config.findings import Finding
    from workbench.config.keys import keys, value_at
    from workbench.masking import secrets_of

    secrets = secrets_of(os.environ)
    found = []
    for path in origins:
        text = str(value_at(config, path)) if secrets and path in keys() else ""
        if name := next((secrets[value] for value in secrets if value in text), None):
            found.append(
                Finding(
                    "secret-in-config",
                    "error",
                    path,
                    f"{path} holds the value of {name}, which is a secret: leave it in the "
                    "environment, where the training finds it",
                    origins[path],
                    (),
                )
            )
    return found


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # a name too long, ~nobody, a NUL
        return False


def _stop_at_errors(findings: list[Finding]) -> None:
    from workbench.config.findings import FindingsError

    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise FindingsError(errors)


def _loaded(reference: str) -> list[Layer]:
    """The layers of a reference; another system's file is refused with the way to import it."""
    from workbench.config.layers import load
    from workbench.dialects.foreign_layers import foreign_file, refuse_foreign

    try:
        found = load(reference)
    except ConfigError:
        path = Path(reference)
        if _exists(reference) and (foreign := foreign_file(path)) is not None:
            raise foreign from None
        raise
    refuse_foreign(found)
    return found


def plan_from(
    recipe_name: str | None = None,
    *,
    layers: list[str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Plan:
    """Resolve a recipe and layers into a plan; later layers win, overrides win over all.

    Args:
        recipe_name: A recipe whose stack comes first.
        layers: Paths or names of layers, in order: base, hardware, distributed, own file.
        overrides: ``{key: text}`` as typed on a command line.

    Raises:
        ConfigError: A layer cannot be found or read.
        UsageError: The recipe or an overridden key does not exist.
    """
    from workbench.config import overrides as command_line
    from workbench.config.layers import compose, load

    chosen = recipe(recipe_name) if recipe_name else None
    stack = [layer for reference in (chosen.stack if chosen else ()) for layer in load(reference)]
    if chosen is not None and chosen.own is not None:
        stack.append(chosen.own)
    stack += [layer for reference in layers or () for layer in _loaded(reference)]
    if overrides:
        stack.append(command_line.layer(dict(overrides)))
    return Plan(compose(stack), chosen)
