"""Arguments in the form of `ava train`, for every face: a recipe, layers, any key of the schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.plan import Plan

# option -> the place of its layer in the stack
LAYER_OPTIONS = {
    "config": "base",
    "hardware_config": "hardware",
    "distributed_config": "distributed",
    "rlhf_config": "rlhf",
}

_CONFIG_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(slots=True)
class TrainOptions:
    """What was asked for, not yet resolved.

    Attributes:
        recipe: The recipe, when one was named.
        layers: Layer references in stack order.
        overrides: ``{key as typed: text}``.
        resume: Name or path of a run to continue.
        json: Print data instead of prose.
        help: Print the help.
    """

    recipe: str | None = None
    layers: list[str] = field(default_factory=list)
    overrides: dict[str, str] = field(default_factory=dict)
    resume: str | None = None
    json: bool = False
    help: bool = False

    def name_hardware(self) -> None:
        """Take ``--hardware NAME`` as ``run.hardware``, for whoever asks about a plan."""
        if "hardware" in self.overrides:
            self.overrides["run.hardware"] = self.overrides.pop("hardware")


def parse(args: list[str]) -> TrainOptions:
    """Read the arguments of `ava train`.

    Raises:
        UsageError: Two recipes, an option without its value, or an option given twice.
    """
    options = TrainOptions()
    layers: dict[str, list[str]] = {}
    files: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            options.help = True
        elif word == "--json":
            options.json = True
        elif word.startswith("--") and len(word) > 2:
            name, value = _option(word, rest)
            if name == "resume":
                options.resume = value
            elif name in LAYER_OPTIONS:
                layers.setdefault(name, []).append(value)
            elif name in options.overrides:
                raise UsageError(f"--{name} is given twice", fix="keep one of the two")
            else:
                options.overrides[name] = value
        elif word.endswith(_CONFIG_SUFFIXES):
            files.append(word)
        else:
            _take_recipe(options, word)
    options.layers = [each for name in LAYER_OPTIONS for each in layers.get(name, ())] + files
    return options


def _take_recipe(options: TrainOptions, word: str) -> None:
    if word.startswith("-") and len(word) > 1:
        raise UsageError(f"there is no option {word!r}", fix="ava train --help")
    if options.recipe is not None:
        raise UsageError(
            f"one recipe at a time: {options.recipe!r} and {word!r}",
            fix=f"a config key is given with its name: --KEY {word}",
        )
    options.recipe = word


def _option(word: str, rest: list[str]) -> tuple[str, str]:
    """``--name=value``, ``--name value``, or a bare ``--name`` for a switch."""
    name, equals, value = word[2:].partition("=")
    name = name.replace("-", "_")
    if equals:
        return name, value
    if rest and not (rest[0].startswith("--") and len(rest[0]) > 2):
        return name, rest.pop(0)
    if name not in LAYER_OPTIONS and name != "resume" and _is_switch(name):
        return name, "true"
    raise UsageError(f"--{name} needs a value", fix=f"--{name} VALUE")


def _is_switch(name: str) -> bool:
    from workbench.config.keys import keys
    from workbench.config.overrides import resolve_key

    return keys()[resolve_key(name)].kind.startswith("true")


def take_flag(args: list[str], flag: str) -> bool:
    """Remove a flag from the arguments and say whether it was there."""
    found = flag in args
    args[:] = [arg for arg in args if arg != flag]
    return found


def take(args: list[str], option: str, help_with: str) -> str | None:
    """An option's value, taken out of the arguments.

    Raises:
        UsageError: It has none.
    """
    for place, word in enumerate(args):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") != option:
            continue
        if equals:
            del args[place]
            return value
        if place + 1 == len(args) or args[place + 1].startswith("--"):
            raise UsageError(f"{option} needs a value", fix=help_with)
        value = args[place + 1]
        del args[place : place + 2]
        return value
    return None


def planned(args: list[str], command: str, examples: str) -> tuple[Plan, TrainOptions]:
    """The plan that a command line of `ava train`'s form names, and the options it was read from.

    Args:
        args: The words.
        command: Who asks, as a verb: ``estimate``.
        examples: What to try where nothing is named.

    Raises:
        UsageError: Nothing is named, or a run that is to be resumed.
        ConfigError: A layer cannot be read.
    """
    from workbench.plan import plan_from

    options = parse(args)
    if options.resume is not None:
        raise UsageError("a run is resumed by ava train", fix="ava train --resume RUN")
    if options.recipe is None and not options.layers and not options.overrides:
        raise UsageError(f"nothing to {command} yet: name a recipe or a config", fix=examples)
    options.name_hardware()
    return plan_from(options.recipe, layers=options.layers, overrides=options.overrides), options
