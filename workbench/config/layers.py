"""Layers and how they become one config, with the origin of every value.

A layer is a tree of values with a name. Later layers win: sections merge key by key; single values,
lists and the mapping that is the value of a key replace. The order of a full stack is base,
hardware, distributed, user file, command line, live edits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config.origins import Mark, Origin
from workbench.config.reading import KeyPath, read_file
from workbench.errors import ConfigError
from workbench.resources import data_dir

if TYPE_CHECKING:
    from workbench.config.findings import Finding
    from workbench.config.spelling import Spelled

EXTENDS = "extends"
_MAX_LAYERS = 64  # a stack of ten is long; layers that extend each other twice grow without end
_GROUPS = (
    "gpu",
    "hardware",
    "distributed",
    "rlhf",
    "research",
    "models",
    "templates",
    "scenarios",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of values.

    Attributes:
        name: ``gpu/tiny`` for a shipped layer, the path for a file, ``command line``.
        tree: The values, nested as in the file.
        file: The file, when there is one.
        marks: The place of each key in the file.
        notes: What deserves a look in the text of the file, such as mojibake.
    """

    name: str
    tree: dict[str, Any]
    file: str | None = None
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Composed:
    """The merged tree and, for every value in it, where it came from."""

    tree: dict[str, Any]
    origins: dict[str, Origin]
    layers: tuple[Layer, ...] = ()

    @property
    def stack(self) -> tuple[str, ...]:
        """Names of the layers, the first one lowest."""
        return tuple(layer.name for layer in self.layers)

    def section(self, path: str) -> Origin | None:
        """Where the last layer that has the section begins it."""
        names = tuple(path.split("."))
        for layer in reversed(self.layers):
            if names in layer.marks:
                return Origin(layer.name, None, layer.file, layer.marks[names])
        return None

    @cached_property
    def first_inside(self) -> dict[str, Origin]:
        """For each section, the origin of the first value inside it."""
        found: dict[str, Origin] = {}
        for path, origin in self.origins.items():
            section = path.rpartition(".")[0]
            while section and section not in found:
                found[section] = origin
                section = section.rpartition(".")[0]
        return found


def shipped() -> list[str]:
    """Names of the layers that come with the workbench, ``gpu/tiny`` and so on."""
    root = data_dir("configs")
    return sorted(
        f"{group}/{path.stem}" for group in _GROUPS for path in (root / group).glob("*.yaml")
    )


def load(reference: str) -> list[Layer]:
    """The layer that `reference` names, after the layers that it extends.

    Args:
        reference: A path to a YAML file, or the name of a shipped layer (``gpu/tiny``).

    Raises:
        ConfigError: There is no such layer, it cannot be read, or it extends itself.
    """
    return _load(reference, relative_to=Path.cwd(), chain=(), where=None)


def _load(
    reference: str, *, relative_to: Path, chain: tuple[Path, ...], where: str | None
) -> list[Layer]:
    path, name = _find(reference, relative_to, where)
    resolved = path.resolve()
    if resolved in chain:
        circle = " → ".join(item.name for item in (*chain, resolved))
        raise ConfigError(f"the layers extend each other in a circle: {circle}", where=str(path))
    document = read_file(path)
    parents = document.tree.pop(EXTENDS, [])
    if isinstance(parents, str):
        parents = [parents]
    if not (isinstance(parents, list) and all(isinstance(item, str) for item in parents)):
        line = document.marks[(EXTENDS,)].line
        raise ConfigError(
            "'extends' lists layer names or files",
            where=f"{path}:{line}",
            fix="extends: [gpu/base, hardware/a100_80gb]",
        )
    layers: list[Layer] = []
    for parent in parents:
        place = f"{path}:{document.marks[(EXTENDS,)].line}"
        layers += _load(parent, relative_to=path.parent, chain=(*chain, resolved), where=place)
        if len(layers) > _MAX_LAYERS or len(chain) > _MAX_LAYERS:
            raise ConfigError(f"more than {_MAX_LAYERS} layers extend each other", where=place)
    # Our own files have been looked through by the tests.
    notes = () if resolved.is_relative_to(data_dir("configs").resolve()) else document.notes
    layers.append(Layer(name, document.tree, str(path), document.marks, tuple(notes)))
    return layers


def _find(reference: str, relative_to: Path, where: str | None) -> tuple[Path, str]:
    """The file of a layer and the name it goes by: a file wins over a shipped layer."""
    try:
        given = Path(reference).expanduser()
        candidate = given if given.is_absolute() else relative_to / given
        is_folder, exists = candidate.is_dir(), candidate.exists()
    except (OSError, RuntimeError) as error:  # a closed folder, a name too long, ~nobody
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"the config file {reference!r} cannot be opened", where=where, why=why
        ) from None
    if exists and not is_folder:
        return (given if relative_to == Path.cwd() else candidate), reference
    name = reference.removeprefix("configs/").removesuffix(".yaml").removesuffix(".yml")
    if name in shipped():
        return data_dir("configs") / f"{name}.yaml", name
    if is_folder:
        raise ConfigError("this is a folder, not a config file", where=str(candidate))
    import difflib

    names = shipped()
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    raise ConfigError(
        f"there is no file and no shipped layer {reference!r}",
        where=where,
        fix="one of: " + ", ".join(close) if close else "ava config presets shows them all",
    )


def compose(layers: list[Layer]) -> Composed:
    """Merge `layers`, the later over the earlier, and remember where each value came from.

    A value under another spelling of its key moves to the key; within one layer the key's own
    spelling wins. Retired keys are left out of the tree and keep their origin.
    """
    from workbench.config.spelling import split  # the schema, which loading a layer does not need

    tree: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for layer in layers:
        own, spelled = split(layer.tree)
        for each in spelled:
            _respell(tree, own, each, layer, origins)
        _merge(tree, own, (), _Source(layer), origins)
    return Composed(tree, origins, tuple(layers))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a value stands: at its own path in the layer, or under another spelling."""

    layer: Layer
    written: KeyPath | None = None

    def origin(self, path: tuple[str, ...], value: Any, before: Origin | None) -> Origin:
        shadowed = (replace(before, shadowed=()), *before.shadowed) if before else ()
        written = ".".join(map(str, self.written)) if self.written else None
        return Origin(
            self.layer.name,
            value,
            self.layer.file,
            self.layer.marks.get(self.written or path),
            shadowed,
            None if written == ".".join(path) else written,
        )


def _respell(
    tree: dict[str, Any],
    own: dict[str, Any],
    each: Spelled,
    layer: Layer,
    origins: dict[str, Origin],
) -> None:
    from workbench.config.conversions import KEEP

    source = _Source(layer, each.written)
    if not each.meanings:
        dotted = ".".join(map(str, each.written))
        origins[dotted] = source.origin(tuple(dotted.split(".")), each.value, origins.get(dotted))
    for alias in each.meanings:
        path = tuple(alias.target.split("."))
        value = each.value
        if alias.convert is not None:
            value = alias.convert(value, _present(path, own, tree))
            if value is KEEP:
                continue
        nested: dict[str, Any] = {path[-1]: value}
        for name in reversed(path[:-1]):
            nested = {name: nested}
        _merge(tree, nested, (), source, origins)


def _present(path: tuple[str, ...], *trees: dict[str, Any]) -> Any:
    """The value that a key has so far: in this layer, in those before it, or by default."""
    from workbench.config.keys import keys

    for tree in trees:
        value: Any = tree
        for name in path:
            value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is not _ABSENT:
            return value
    return keys()[".".join(path)].default


_ABSENT = object()


def _merge(
    into: dict[str, Any],
    tree: dict[str, Any],
    path: tuple[str, ...],
    source: _Source,
    origins: dict[str, Origin],
) -> None:
    from workbench.config.keys import mappings, sections

    for key, value in tree.items():
        here = (*path, key)
        dotted = ".".join(here)
        if value is None and dotted in sections():
            continue  # a section whose keys are all commented out says nothing
        before = into.get(key)
        if isinstance(value, dict) and dotted not in mappings():
            if not isinstance(before, dict):
                if key in into:
                    _forget(dotted, origins)
                into[key] = {}
            if value:
                _merge(into[key], value, here, source, origins)
                continue
            if into[key]:
                continue  # an empty section says nothing
        else:
            if isinstance(before, dict) and dotted not in mappings():
                _forget(dotted, origins)
            into[key] = value
        origins[dotted] = source.origin(here, value, origins.get(dotted))


def _forget(dotted: str, origins: dict[str, Origin]) -> None:
    """A section became a value or a value a section: its old origins mean nothing now."""
    for path in [p for p in origins if p == dotted or p.startswith(dotted + ".")]:
        del origins[path]
