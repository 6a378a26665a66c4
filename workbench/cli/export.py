"""`ava export`: a plan in another system's words, and what could not be said."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.options import take_flag
from workbench.cli.output import console, print_json
from workbench.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import Config
    from workbench.dialects.base import Remark, Writing

HELP = """\
usage: ava export SYSTEM [RECIPE] [FILE …] [--config LAYER …] [--KEY VALUE …]
                  -o DIR [--force] [--json]

  SYSTEM    ava, deepseek_v3, deepspeed, aws_fsdp, tenstorrent, huggingface:
            files that the system's own loader reads; or, to start the plan on
            several machines:
{clusters}
  -o DIR    folder for the files; it is made if need be
  --force   replace files that are there

The plan is given as for ava train. What the other system cannot say is listed.
"""

_LONG = 60


def run(_command: str, args: list[str]) -> int:
    """Run `ava export`."""
    if not args or {"-h", "--help"} & set(args):
        lines = [f"              {name:<12}{each.title}" for name, each in _clusters().items()]
        sys.stdout.write(HELP.format(clusters="\n".join(lines)))
        return 0 if args else 2
    from workbench.cli.import_ import take_option
    from workbench.dialects.saving import save

    system = args.pop(0)
    force = take_flag(args, "--force")
    output = take_option(args, "-o", "--output")
    write = _writer(system)
    if output is None:
        raise UsageError("where to?", fix=f"ava export {system} … -o FOLDER")
    config, chosen, json = _plan(args)
    writing = write(config, chosen=chosen)
    refused = _refusals(system, writing)
    paths = save(Path(output), writing, force=force)
    if json:
        print_json(_to_dict(writing, paths, refused))
        return 0
    _tell(system, writing, paths, refused)
    return 0


def _clusters() -> dict[str, Any]:
    return dict(import_module("workbench.dialects.cluster").EXPORTERS)


def _writer(system: str) -> Callable[..., Writing]:
    """What writes for a system or a cluster.

    Raises:
        UsageError: There is no such target.
    """
    from workbench.dialects.registry import NAMES, dialect

    if system in NAMES:
        return dialect(system).write
    clusters = _clusters()
    if system in clusters:
        exporter: Callable[..., Writing] = clusters[system].write
        return exporter
    import difflib

    known = [*NAMES, *clusters]
    close = difflib.get_close_matches(system, known, n=1) or known
    raise UsageError(f"nothing is exported to {system!r}", fix=f"one of: {', '.join(close)}")


def _plan(args: list[str]) -> tuple[Config, frozenset[str], bool]:
    """The plan's config, and the keys that a layer set; a plan with findings is exported too."""
    from workbench.cli.options import parse
    from workbench.config.checking import validate
    from workbench.config.findings import FindingsError
    from workbench.plan import plan_from

    options = parse(args)
    plan = plan_from(options.recipe, layers=options.layers, overrides=options.overrides)
    config, findings = validate(plan.composed)
    if config is None:
        raise FindingsError([each for each in findings if each.severity == "error"])
    return config, frozenset(plan.composed.origins), options.json


def _refusals(system: str, writing: Writing) -> list[tuple[str, Remark]]:
    """What the system itself would refuse in the files."""
    from workbench.dialects.base import Foreign
    from workbench.dialects.registry import NAMES, dialect

    if system not in NAMES:
        return []
    found = []
    for name, text in writing.files.items():
        try:
            reading = dialect(system).read(Foreign(Path(name), text))
        except ConfigError:
            continue  # a script beside the configs
        found += [(name, remark) for remark in reading.remarks if remark.verdict == "refused"]
    return found


def _to_dict(
    writing: Writing, paths: list[Path], refused: list[tuple[str, Remark]]
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "files": [str(path) for path in paths],
        "lost": [asdict(lost) for lost in writing.lost],
        "refused": [{"file": name} | asdict(remark) for name, remark in refused],
        "command": writing.command or None,
    }


def _tell(
    system: str, writing: Writing, paths: list[Path], refused: list[tuple[str, Remark]]
) -> None:
    from rich.text import Text

    from workbench.cli.imports import indented, section
    from workbench.config.render import inline

    out = console()
    for path in paths:
        out.print(Text.assemble("wrote ", (str(path), "bold")))
    if refused:
        said = dict.fromkeys(f"{remark.path}: {remark.message}" for _, remark in refused)
        section(out, f"{system} itself refuses", list(said))
    if writing.lost:
        out.print(f"\nlost: {system} cannot say", markup=False)
        for reason, keys in _by_reason(writing).items():
            indented(out, f"{reason}:", 2)
            for key, value in keys:
                indented(out, f"{key} = {_short(inline(value))}", 4)
    if writing.command:
        section(out, "start it with", writing.command.splitlines())


def _by_reason(writing: Writing) -> dict[str, list[tuple[str, Any]]]:
    grouped: dict[str, list[tuple[str, Any]]] = {}
    for lost in writing.lost:
        grouped.setdefault(lost.reason, []).append((lost.path, lost.value))
    return grouped


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
