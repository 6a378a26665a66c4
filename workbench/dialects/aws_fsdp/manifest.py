"""The flags in a manifest of Kubernetes: PyTorchJob, HyperPodPyTorchJob, or any with a command.

The list of words under ``command:`` or ``args:`` that holds the flags is found wherever it stands;
a word may itself be a whole command line (``bash -c "torchrun …"``).
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.aws_fsdp.source import (
    MARKER,
    Launch,
    Source,
    Word,
    is_known,
    launch_of,
    shell_source,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workbench.config.document import KeyPath
    from workbench.config.origins import Mark

GPU: Final = "nvidia.com/gpu"
_DIGITS: Final = 7
_INSTANCE: Final = re.compile(
    r"\b(?:ml\.)?((?:p|g|trn|inf)\d\w*(?:-\w+)?\.(?:\d+)?(?:x?large|metal))\b"
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest and the flags in it.

    Attributes:
        tree: The manifest with a marker for the flags.
        source: The flags, and the machines that it asks for.
        mended: Words with quotes or a backslash that only a shell would have taken away.
    """

    tree: dict[str, Any]
    source: Source
    mended: tuple[str, ...] = ()


def find_manifest(
    tree: dict[str, Any], marks: Mapping[KeyPath, Mark], name: str
) -> Manifest | None:
    """The flags in a manifest; None where no command has any.

    Raises:
        ConfigError: A quote in a command line is never closed.
    """
    found = max(_commands(tree, ()), key=lambda pair: _flags(pair[1]), default=None)
    if found is None or not _flags(found[1]):
        return None
    path, words = found
    lines = [_line(marks, (*path, index)) for index in range(len(words))]
    made = copy.deepcopy(tree)
    bare = [_bare(word) for word in words]
    source = _cut(made, path, bare, lines, name)
    mended = tuple(str(word) for word, mine in zip(words, bare, strict=True) if word != mine)
    return Manifest(made, Source(source.words, MARKER, _launch(tree, marks, source), {}), mended)


def _bare(word: Any) -> Any:
    """A flag without the quotes and the backslash of a shell, through which no word here goes."""
    if not isinstance(word, str) or not word.startswith("--"):
        return word
    bare = re.sub(r"\s+\\$", "", word)
    name, equals, value = bare.partition("=")
    if equals and len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return f"{name}={value[1:-1]}"
    return bare


def put_back(tree: Any, flags: list[str]) -> Any:
    """A manifest with flags in the place of the marker."""
    if isinstance(tree, dict):
        return {key: put_back(value, flags) for key, value in tree.items()}
    if isinstance(tree, list):
        made: list[Any] = []
        for item in tree:
            made += flags if item == MARKER else [put_back(item, flags)]
        return made
    if isinstance(tree, str) and MARKER in tree:
        import shlex

        return tree.replace(MARKER, " ".join(map(shlex.quote, flags)))
    return tree


def instances(text: str) -> list[str]:
    """The instance types that a text names outside of comments, without ``ml.``."""
    bare = re.sub(r"(^|\s)#(?!SBATCH).*$", "", text, flags=re.MULTILINE)
    return list(dict.fromkeys(match[1] for match in _INSTANCE.finditer(bare)))


def with_instance(text: str, name: str) -> str:
    """A text with another instance type in the place of the one that it names."""
    return _INSTANCE.sub(lambda match: match[0].replace(match[1], name), text)


def with_machines(tree: Any, nodes: int | None, devices: int | None) -> Any:
    """A manifest that asks for these machines; None leaves a number as it is."""
    if isinstance(tree, list):
        return [_word(with_machines(item, nodes, devices), nodes, devices) for item in tree]
    if not isinstance(tree, dict):
        return tree
    made = {}
    for key, value in tree.items():
        if key in ("Master", "Worker") and {"Master", "Worker"} <= tree.keys() and nodes:
            share = 1 if key == "Master" else nodes - 1
            made[key] = with_machines(value, share, devices)
        elif key == "replicas" and nodes is not None and not isinstance(value, dict | list):
            made[key] = nodes
        elif key == "nprocPerNode" and devices is not None:
            made[key] = str(devices)
        elif key == GPU and devices is not None:
            made[key] = devices
        else:
            made[key] = with_machines(value, nodes, devices)
    return made


def _word(word: Any, nodes: int | None, devices: int | None) -> Any:
    if isinstance(word, str) and word.startswith("--"):
        if nodes is not None:
            word = re.sub(r"\A(--nnodes=).*", rf"\g<1>{nodes}", word)
        if devices is not None:
            word = re.sub(r"\A(--nproc[_-]per[_-]node=).*", rf"\g<1>{devices}", word)
    return word


def _commands(tree: Any, path: KeyPath) -> Iterator[tuple[KeyPath, list[Any]]]:
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _commands(item, (*path, index))
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key in ("command", "args") and isinstance(value, list):
                yield (*path, key), value
            yield from _commands(value, (*path, key))


def _flags(words: list[Any]) -> int:
    return sum(is_known(piece) for word in words for piece in str(word).split())


def _line(marks: Mapping[KeyPath, Mark], path: KeyPath) -> int:
    while path and path not in marks:
        path = path[:-1]
    return marks[path].line if path else 1


def _cut(
    tree: dict[str, Any], path: KeyPath, words: list[Any], lines: list[int], name: str
) -> Source:
    """The words of the flags; `tree` gets a marker for them."""
    place: Any = tree
    for part in path:
        place = place[part]
    for index, word in enumerate(words):
        inside = _flags([word])
        line = isinstance(word, str) and len(word.split()) > 1
        if line and inside > 1 and 2 * inside > _flags(words):
            inner = shell_source(str(word), name)
            place[index] = inner.around or MARKER
            moved = tuple(Word(w.text, w.line + lines[index] - 1) for w in inner.words)
            return Source(moved, MARKER, inner.launch)
    first = next(
        (index + 1 for index, word in enumerate(words) if str(word).endswith(".py")),
        next(index for index, word in enumerate(words) if is_known(str(word))),
    )
    place[first:] = [MARKER]
    taken = [Word(_text(w), line) for w, line in zip(words[first:], lines[first:], strict=True)]
    before = (Word(_text(w), line) for w, line in zip(words[:first], lines, strict=False))
    return Source(tuple(taken), MARKER, launch_of(before, {}))


def _text(word: Any) -> str:
    return "" if word is None else str(word)


def _launch(tree: dict[str, Any], marks: Mapping[KeyPath, Mark], source: Source) -> Launch:
    """The machines: torchrun's words, else what the manifest asks for."""
    launch = source.launch
    replicas = list(_all(tree, "replicas", ()))
    numbers = [int(str(n)) for _, n in replicas if str(n).isdecimal() and len(str(n)) < _DIGITS]
    nodes = str(sum(numbers)) if numbers and len(numbers) == len(replicas) else None
    if nodes is None and replicas:
        nodes = str(replicas[0][1])
    devices = [*_all(tree, "nprocPerNode", ()), *_all(tree, GPU, ())]
    return Launch(
        _plain(launch.nodes) or nodes or launch.nodes,
        _plain(launch.devices)
        or next((str(v) for _, v in devices if _plain(str(v))), None)
        or launch.devices
        or (str(devices[0][1]) if devices else None),
        _line(marks, replicas[0][0]) if replicas else launch.nodes_line,
        _line(marks, devices[0][0]) if devices else launch.devices_line,
    )


def _plain(text: str | None) -> str | None:
    return text if text is not None and text.isdecimal() else None


def _all(tree: Any, name: str, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _all(item, name, (*path, index))
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key == name and not isinstance(value, dict | list):
                yield (*path, key), value
            yield from _all(value, name, (*path, key))
