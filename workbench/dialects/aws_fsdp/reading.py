"""From a text with flags to a reading."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.aws_fsdp.manifest import Manifest, find_manifest, instances
from workbench.dialects.aws_fsdp.meaning import Meaning
from workbench.dialects.aws_fsdp.size import name_and_size
from workbench.dialects.aws_fsdp.source import MARKER, Launch, Source, shell_source
from workbench.dialects.aws_fsdp.words import Given, parse_words
from workbench.dialects.base import Foreign
from workbench.dialects.building import Builder
from workbench.dialects.parsing import parse
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.dialects.base import Reading, Remark

AROUND: Final = "around the flags"
ORDER: Final = "order of the flags"
REPEATED: Final = "repeated flags"
WORDS: Final = "other words"
DOCUMENTS: Final = "other documents"
"""Names in the residue that no flag can have."""

_DIGITS: Final = 7
_BORDER: Final = re.compile(r"(?m)^---[ \t]*(?:#.*)?(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Located:
    """Where the flags of a text stand.

    Attributes:
        source: The flags.
        manifest: The manifest that they stand in; None for a list or a script.
        documents: The other documents of its file, with a marker for its own; empty for one alone.
        remarks: What was repaired.
    """

    source: Source
    manifest: Manifest | None = None
    documents: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()


def located(foreign: Foreign) -> Located:
    """Where the flags of a text stand.

    Raises:
        ConfigError: The text is neither YAML nor words.
    """
    if not is_yaml(foreign):
        return Located(shell_source(foreign.text, str(foreign.path)))
    parts = _BORDER.split(foreign.text)
    if sum(bool(part.strip()) for part in parts) > 1:
        return _among_several(foreign, parts)
    document, remarks = parse(foreign, last_wins=True)
    manifest = find_manifest(document.tree, document.marks, str(foreign.path))
    if manifest is not None:
        return Located(manifest.source, manifest, (), remarks)
    if "kind" in document.tree:
        return Located(Source(()))
    return Located(shell_source(foreign.text, str(foreign.path)))


def _among_several(foreign: Foreign, parts: list[str]) -> Located:
    """The first document of a file whose command has flags."""
    lines = 0
    for index, part in enumerate(parts):
        alone = Foreign(foreign.path, "\n" * lines + part)  # its lines are those of the file
        lines += part.count("\n") + 1
        try:
            document, remarks = parse(alone, last_wins=True)
        except ConfigError:
            continue  # a template, or none of ours
        manifest = find_manifest(document.tree, document.marks, str(foreign.path))
        if manifest is not None:
            others = (*parts[:index], MARKER, *parts[index + 1 :])
            return Located(manifest.source, manifest, others, remarks)
    return Located(Source(()))


def is_yaml(foreign: Foreign) -> bool:
    """Whether a text is to be taken for YAML: a list of flags and a script are not."""
    if foreign.text.startswith("#!"):
        return False
    lines = (line.strip() for line in foreign.text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    named = foreign.path.suffix.lower() in (".yaml", ".yml")
    return named or ": " in first or first.endswith((":", "---"))


def read(foreign: Foreign) -> Reading:
    """Understand a text with flags.

    Raises:
        ConfigError: There are no flags of the trainer in it, or those of several models.
    """
    found = located(foreign)
    manifest, source = found.manifest, found.source
    if not source.words:
        raise _no_flags(foreign)
    given = parse_words(source.words, source.variables)
    _one_model(foreign, given)
    tree = dict(manifest.tree) if manifest else {}
    for name, value in given.values.items():
        if name in tree:
            given.words.append(f"--{name}={value}")
        else:
            tree[name] = value
    apart = {
        AROUND: source.around if manifest is None else None,
        DOCUMENTS: list(found.documents),
        WORDS: given.words,
        REPEATED: given.repeated,
        ORDER: list(given.values),
    }
    tree.update({name: value for name, value in apart.items() if value})
    builder = Builder("aws_fsdp", foreign, tree, given.marks, (*found.remarks, *given.remarks))
    Meaning(builder, given.broken).understand()
    if manifest is not None and manifest.mended:
        _say_mended(builder, manifest.mended)
    _machines(builder, source.launch, foreign)
    _keep_rest(builder, manifest)
    name_and_size(builder, manifest.tree if manifest else {}, source)
    return builder.reading(rest="the trainer has no such flag")


def _say_mended(builder: Builder, words: tuple[str, ...]) -> None:
    """Flags with the marks of a shell: what they do to the trainer, and that they were left out."""
    builder.refused(
        (),
        f"no shell reads the words of a command, so the quotes and the backslash of {words[0]!r} "
        "become part of its value: the parser stops at numbers and choices like that "
        f"({len(words)} flags)",
    )
    builder.remark((), "repaired", "flags are read, and written by ava export, without them")


def _machines(builder: Builder, launch: Launch, foreign: Foreign) -> None:
    """Nodes, processes, and the instance type."""
    types = instances(foreign.text)
    profile = profile_of(types)
    if profile is not None:
        builder.put("run.hardware", profile)
        builder.remark((), "translated", f"the instance type {profile} is run.hardware here")
    elif types:
        why = "there is no profile of it" if len(types) == 1 else "there is more than one"
        builder.assume((), f"no hardware is set: the file names {', '.join(types)}, and {why}")
    nodes, devices = launch.nodes, launch.devices
    if nodes is None and devices is None:
        builder.assume((), "the file does not say on how many machines: one device is assumed; "
                       "--parallel.num_nodes and --parallel.devices_per_node say more")  # fmt: skip
        return
    _number(builder, "parallel.num_nodes", nodes, "machines", 1)
    what = "devices on each machine"
    _number(builder, "parallel.devices_per_node", devices, what, devices_of(profile))


def profile_of(types: list[str]) -> str | None:
    """The profile of the one instance type that a text names."""
    from workbench.hardware.devices import names

    return types[0] if len(types) == 1 and types[0] in names() else None


def devices_of(profile: str | None) -> int:
    """The devices of a machine that a file leaves open."""
    from workbench.hardware.devices import device

    return device(profile).devices_per_node if profile else 1


def _number(builder: Builder, ours: str, text: str | None, what: str, assumed: int) -> None:
    text = text or ""
    least = text.partition(":")[0]
    if least.isdecimal() and len(least) < _DIGITS and int(least):
        builder.put(ours, int(least))
        if least != text:
            builder.assume((), f"between {text.replace(':', ' and ')} {what}: {least} are assumed")
        return
    builder.put(ours, assumed)
    said = (
        f"{text} is filled in when the file is used" if text else f"it does not say how many {what}"
    )
    builder.assume((), f"{said}: {assumed} assumed for {ours}")


def _keep_rest(builder: Builder, manifest: Manifest | None) -> None:
    if manifest is not None:
        for name in manifest.tree:
            builder.keep((name,), "the manifest around the flags; it goes back as it stands")
    builder.keep((AROUND,), "the script around the flags; it goes back as it stands")
    builder.keep((DOCUMENTS,), "the other documents of the file; they go back as they stand")
    builder.keep((ORDER,), "which flags stood there, and in what order")
    builder.keep((REPEATED,), "a later one of the same flag counts")
    builder.keep((WORDS,), "they belong to no flag")


def _one_model(foreign: Foreign, given: Given) -> None:
    """Refuse a page with the flags of several models."""
    widths = [*given.repeated.get("hidden_width", ()), given.values.get("hidden_width")]
    if len(set(map(str, widths))) > 1:
        raise ConfigError(
            f"the file holds the flags of {len(widths)} models: --hidden_width is "
            + ", ".join(map(str, widths)),
            where=f"{foreign.path}:{given.marks['hidden_width',].line}",
            fix="cut one of them out into a file of its own",
        )


def _no_flags(foreign: Foreign) -> ConfigError:
    template: Any = "{{" in foreign.text
    return ConfigError(
        "there are no flags of the trainer in it",
        where=str(foreign.path),
        why="it is a template: the flags are put in by generate-sbatch-training-files.py"
        if template
        else None,
        fix="give a list of flags (models/*.txt), a script with TRAINING_ARGS=( … ), "
        "or a manifest whose command has them",
    )
