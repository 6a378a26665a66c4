"""`ava config`: what a config says, where each value came from, and whether it is right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.config_edits import repair_file, set_keys, unset_keys
from workbench.cli.config_lists import list_keys, list_presets, print_schema
from workbench.cli.options import take_flag
from workbench.cli.output import console, print_json, relative
from workbench.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from workbench.plan import Plan

HELP = """\
usage: ava config show    [RECIPE] [FILE …] [--config LAYER …] [--KEY VALUE …] [--all] [--json]
       ava config check   [RECIPE] [FILE …] [--config LAYER …] [--KEY VALUE …] [--json]
       ava config explain KEY [RECIPE] [FILE …] [--config LAYER …] [--json]
       ava config diff    A B [--json]
       ava config keys    [WORD] [--json]
       ava config presets [--json]
       ava config set     FILE KEY VALUE [KEY VALUE …]
       ava config unset   FILE KEY [KEY …]
       ava config repair  FILE [--write]
       ava config schema

  show      every value that a layer sets, with its origin; --all adds the defaults
  check     all findings: errors, warnings and hints, each with its repair
  explain   one key: meaning, unit, range, value, and the layers that set it
  diff      what differs between two of: a recipe, a layer, a file, a run, 'defaults'
  keys      all keys with their meaning; WORD searches keys and meanings
  presets   the shipped layers and recipes
  set       change values in a file of yours; comments and all other lines stay as they are
  unset     take keys out of a file of yours
  repair    a file that cannot be read, or whose characters are garbled: prints what it would
            be; --write puts it in place and keeps the old one as FILE.bak
  schema    JSON Schema of a config file, for editors

Recipe, layers and keys are given as for ava train.
"""


def run(_command: str, args: list[str]) -> int:
    """Run one of the `ava config` commands."""
    if not args or args[0] in ("-h", "--help"):
        sys.stdout.write(HELP)
        return 0 if args else 2
    action, *rest = args
    actions = {
        "show": _show,
        "check": _check,
        "explain": _explain,
        "diff": _diff,
        "keys": list_keys,
        "presets": list_presets,
        "set": lambda words: _check([set_keys(words)]),
        "unset": lambda words: _check([unset_keys(words)]),
        "repair": _repair,
        "schema": print_schema,
    }
    if action not in actions:
        import difflib

        close = difflib.get_close_matches(action, actions, n=1)
        raise UsageError(
            f"there is no 'ava config {action}'",
            fix=f"ava config {close[0]}" if close else "ava config --help",
        )
    if {"-h", "--help"} & set(rest):
        sys.stdout.write(HELP)
        return 0
    return actions[action](rest)


def _repair(args: list[str]) -> int:
    unchanged = repair_file(args)
    return _check([unchanged]) if unchanged else 0


def _plan(args: list[str]) -> tuple[Plan, bool]:
    from workbench.cli.options import parse
    from workbench.plan import plan_from

    options = parse(args)
    return (
        plan_from(options.recipe, layers=options.layers, overrides=options.overrides),
        options.json,
    )


def _show(args: list[str]) -> int:
    everything = take_flag(args, "--all")
    plan, json = _plan(args)
    origins, tree = plan.composed.origins, _flat(plan.tree)
    shown = {path: value for path, value in tree.items() if everything or path in origins}
    if json:
        print_json(
            {
                "stack": list(plan.composed.stack),
                "config": plan.tree,
                "origins": plan.origins,
                "equation": plan.equation,
                "findings": [finding.to_dict() for finding in plan.findings],
            }
        )
        return 0
    from rich.table import Table
    from rich.text import Text

    from workbench.config.render import inline

    out = console()
    out.print(f"layers  {' → '.join(plan.composed.stack) or 'defaults only'}", markup=False)
    out.print(f"batch   {plan.equation}\n", markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("key", "value", "from"):
        table.add_column(heading, overflow="fold")
    for path, value in shown.items():
        origin = origins.get(path)
        table.add_row(
            path,
            Text(inline(value)),
            Text(_short(origin) if origin else "default", style="" if origin else "dim"),
        )
    out.print(table)
    for finding in plan.findings:
        out.print("\n" + finding.render(), markup=False)
    return 0


def _short(origin: Any) -> str:
    """The origin in a table: place, and what it covered up."""
    place = origin.place() if origin.file is None else f"{origin.layer}:{origin.mark.line}"
    place = relative(place)
    if origin.shadowed:
        before = origin.shadowed[0]
        place += f"  (over {before.value} of {before.layer})"
    return place


def _check(args: list[str]) -> int:
    plan, json = _plan(args)
    findings = plan.findings
    errors = sum(finding.severity == "error" for finding in findings)
    if json:
        print_json([finding.to_dict() for finding in findings])
    else:
        for finding in findings:
            sys.stdout.write(finding.render() + "\n")
        if not findings:
            sys.stdout.write("nothing to complain about\n")
        elif not errors:
            sys.stdout.write("no errors\n")
    return 2 if errors else 0


def _explain(args: list[str]) -> int:
    if not args or args[0].startswith("-"):
        raise UsageError("which key?", fix="ava config explain training.learning_rate")
    from workbench.cli.config_effect import effects
    from workbench.config.keys import keys
    from workbench.config.overrides import resolve_key
    from workbench.config.render import inline

    key = keys()[resolve_key(args[0])]
    plan, json = _plan(args[1:])
    origin = plan.composed.origins.get(key.path)
    value = origin.value if origin else key.default
    about = [f for f in plan.findings if f.path == key.path]
    changes = effects(plan, key)
    if json:
        print_json(
            {
                "key": key.path,
                "meaning": key.meaning,
                "kind": key.kind,
                "unit": key.unit,
                "changes": key.changes,
                "ignored": key.ignored,
                "needs": key.needs,
                "unhonoured": key.unhonoured,
                "aliases": list(key.aliases),
                "default": key.default,
                "value": value,
                "origin": origin.to_dict() if origin else None,
                "findings": [finding.to_dict() for finding in about],
                "effects": [{"value": each.value, **each.data} for each in changes],
            }
        )
        return 0
    lines = [key.path, f"  {key.meaning}"]
    for label, text in (
        ("takes", key.kind + (f"  ({key.unit})" if key.unit else "")),
        ("changes", key.changes),
        ("ignored", key.ignored),
        ("needs", key.needs),
        (
            "not yet",
            f"today's trainer does not honour it: {key.unhonoured}" if key.unhonoured else None,
        ),
        ("also", ", ".join(key.aliases)),
        ("default", inline(key.default)),
        ("value", f"{inline(value)}  from {relative(origin.place()) if origin else 'the default'}"),
    ):
        if text:
            lines.append(f"  {label:<9}{text}")
    if origin:
        lines += [
            f"  over     {inline(old.value)}  from {relative(old.place())}"
            for old in origin.shadowed
        ]
    lines += [f"  {'with':<9}{inline(each.value)}: {each.words}" for each in changes]
    lines += ["  " + line for finding in about for line in finding.render().splitlines()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _diff(args: list[str]) -> int:
    json = take_flag(args, "--json")
    if len(args) != 2 or any(arg.startswith("-") for arg in args):
        raise UsageError("diff compares two things", fix="ava config diff tiny_cpu my.yaml")
    first, second = (_flat(_tree_of(arg)) for arg in args)
    changed = {
        path: (first.get(path), second.get(path))
        for path in {**first, **second}
        if first.get(path) != second.get(path)
    }
    if json:
        print_json([{"key": path, "a": a, "b": b} for path, (a, b) in changed.items()])
        return 0
    if not changed:
        sys.stdout.write("no difference\n")
        return 0
    from rich.table import Table
    from rich.text import Text

    from workbench.config.render import inline

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("key", *args):
        table.add_column(heading, overflow="fold")
    for path, (a, b) in changed.items():
        table.add_row(path, Text(inline(a)), Text(inline(b)))
    console().print(table)
    return 0


def _tree_of(reference: str) -> dict[str, Any]:
    """The full config of a recipe, a layer or file, a run, or the defaults."""
    from workbench.plan import plan_from, recipes

    if reference == "defaults":
        return plan_from().tree
    if reference in {recipe.name for recipe in recipes()}:
        return plan_from(reference).tree
    path = Path(reference).expanduser()
    for run_path in (path, Path("runs") / reference):
        if (run_path / "run.json").exists():
            from workbench.runs.directory import RunDir

            return RunDir(run_path).config()
    try:
        return plan_from(layers=[reference]).tree
    except ConfigError as error:
        if path.exists() or "there is no file" not in error.what:
            raise
        raise ConfigError(
            f"{reference!r} is no recipe, layer, file or run",
            fix="ava config presets lists recipes and layers, ava runs the runs",
        ) from None


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    from workbench.config.keys import mappings

    flat: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and value and path not in mappings():
            flat |= _flat(value, f"{path}.")
        else:
            flat[path] = value
    return flat
