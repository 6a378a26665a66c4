"""Command-line values: ``--training.batch_size 32``, or ``--batch_size 32`` by its last name."""

from __future__ import annotations

from typing import Any

from workbench.config.keys import Key, by_name, keys
from workbench.config.layers import Layer
from workbench.config.reading import read_yaml
from workbench.config.scalars import resolve
from workbench.config.spelling import aliases_by_name, table
from workbench.config.suggestions import suggest
from workbench.errors import UsageError

COMMAND_LINE = "command line"


def layer(overrides: dict[str, str], name: str = COMMAND_LINE) -> Layer:
    """A layer from ``{key: text}``; keys are full paths or unique last names.

    Raises:
        UsageError: A key does not exist, or its last name is not unique.
    """
    tree: dict[str, Any] = {}
    for given, text in overrides.items():
        path = find(given)
        *parents, last = path.split(".")
        section = tree
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = parse(path, text)
    return Layer(name, tree)


def resolve_key(given: str) -> str:
    """The full path of the key that somebody typed; dashes count as underscores.

    Raises:
        UsageError: There is no such key, or several keys end in this name.
    """
    path = find(given)
    return path if path in keys() else table()[path][0].target


def find(given: str) -> str:
    """As `resolve_key`, but another spelling of a key stays what it is.

    Raises:
        UsageError: There is no such key, or several keys end in this name.
    """
    path = given.replace("-", "_")
    if path in keys() or path in table():
        return path
    matches, others = by_name().get(path, ()), aliases_by_name().get(path, ())
    if not matches or (len(others) == 1 and _idle(matches) and not _idle(others)):
        matches = others  # --max_grad_norm: the one that trains, not the one of PPO
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(
            f"several keys are called {given!r}",
            where=f"--{given}",
            fix="one of: " + ", ".join(f"--{match}" for match in matches),
        )
    close = suggest(path)
    raise UsageError(
        f"there is no option or config key {given!r}",
        where=f"--{given}",
        fix=f"did you mean {' or '.join(f'--{match}' for match in close)}?" if close else None,
    )


def _idle(paths: tuple[str, ...]) -> bool:
    """Whether today's trainer honours none of these keys or spellings."""
    targets = [path if path in keys() else table()[path][0].target for path in paths]
    return all(keys()[target].unhonoured is not None for target in targets)


def parse(path: str, text: str) -> Any:
    """The value of `text` for a key: text keys take it as it is, all others as YAML would.

    A list may be written with commas alone.
    """
    alias = table()[path][0] if path in table() else None
    key = keys()[alias.target if alias else path]
    if alias is None or alias.convert is None:
        if key.type in ("text", "choice"):
            return None if key.optional and text in ("null", "~") else text
        if key.type == "list" and text and text not in ("null", "~") and text[0] != "[":
            return [_item(key, word.strip()) for word in text.split(",")]
    if text[:1] in ("[", "{"):
        return read_yaml(f"value: {text}", f"--{path}").tree["value"]
    return resolve(text.strip()) if text else text


def _item(key: Key, word: str) -> Any:
    return word if key.items == "text" else resolve(word) if word else word
