"""The `ava config` commands that list what there is: keys, presets, schema."""

from __future__ import annotations

import sys

from workbench.cli.options import take_flag
from workbench.cli.output import console, print_json
from workbench.errors import UsageError


def list_keys(args: list[str]) -> int:
    """`ava config keys [WORD]`."""
    from workbench.config.keys import keys

    json = take_flag(args, "--json")
    word = args[0].lower() if args else ""
    found = [k for k in keys().values() if word in k.path.lower() or word in k.meaning.lower()]
    if json:
        print_json(
            [
                {
                    "key": k.path,
                    "kind": k.kind,
                    "unit": k.unit,
                    "default": k.default,
                    "meaning": k.meaning,
                }
                for k in found
            ]
        )
        return 0
    if not found:
        raise UsageError(f"no key and no meaning contains {word!r}", fix="ava config keys")
    from rich.table import Table
    from rich.text import Text

    from workbench.config.render import inline

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("key", no_wrap=True)
    table.add_column("default", overflow="fold", max_width=14)
    table.add_column("meaning", overflow="fold")
    for key in found:
        table.add_row(key.path, Text(inline(key.default)), Text(key.meaning))
    console().print(table)
    return 0


def list_presets(args: list[str]) -> int:
    """`ava config presets`."""
    from workbench.config.layers import shipped
    from workbench.plan import recipes

    if take_flag(args, "--json"):
        print_json(
            {
                "recipes": [
                    {
                        "name": r.name,
                        "title": r.title,
                        "summary": r.summary,
                        "objective": r.objective,
                        "hardware": r.hardware,
                        "budget": r.budget,
                        "stack": list(r.stack),
                    }
                    for r in recipes()
                ],
                "layers": shipped(),
            }
        )
        return 0
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for item in recipes():
        if not item.featured:
            table.add_row(item.name, item.title)
            continue
        about = Text.assemble(
            (f"{item.title}\n", "bold"),
            f"{item.summary}\n",
            (f"{item.objective} · {item.hardware} · {' + '.join(item.stack)}", "dim"),
        )
        table.add_row(item.name, about)
    out = console()
    out.print(table)
    out.print(f"\nlayers: {', '.join(shipped())}", markup=False)
    return 0


def print_schema(_args: list[str]) -> int:
    """`ava config schema`."""
    from workbench.config.jsonschema import generate

    sys.stdout.write(generate())
    return 0
