"""`ava import` and `ava lint`: another system's config, explained and turned into a layer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.options import take_flag
from workbench.cli.output import print_json, relative
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.cli.imports import Imported

HELP = """\
usage: ava import FILE… [--from SYSTEM] [-o LAYER.yaml] [--force] [--json]
       ava lint   FILE… [--from SYSTEM] [--json]

  import    what a config of another system says, and a layer for ava train;
            several files may belong together: model and training, hostfile
  lint      the same without writing; exit code 1 where the system would refuse

  --from    ava, deepseek_v3, deepspeed, aws_fsdp, tenstorrent, huggingface;
            by default it is guessed, and the reason is shown
  -o        name of the layer file; by default FILE.layer.yaml in this folder
  --force   replace that file if it is there

Every key is understood, kept for ava export, or reported; none is dropped.
"""


def run(command: str, args: list[str]) -> int:
    """Run `ava import` or `ava lint`."""
    if not args or {"-h", "--help"} & set(args):
        sys.stdout.write(HELP)
        return 0 if args else 2
    json = take_flag(args, "--json")
    force = take_flag(args, "--force")
    system = take_option(args, "--from")
    output = take_option(args, "-o", "--output")
    if unknown := [arg for arg in args if arg.startswith("-") and len(arg) > 1]:
        raise UsageError(f"there is no option {unknown[0]!r}", fix=f"ava {command} --help")
    if not args:
        raise UsageError("which file?", fix=f"ava {command} ds_config.json")
    if command == "lint" and (output or force):
        raise UsageError("ava lint writes nothing", fix="ava import writes the layer")
    from workbench.cli.imports import read_files, tell, to_dict

    imported = read_files(args, system)
    wrote = None
    if not json:
        tell(imported)
    if command == "import":
        wrote = _write(imported, output or _default(args[0]), force=force)
    if json:
        print_json(to_dict(imported, wrote))
    elif wrote is not None:
        sys.stdout.write(f"\nwrote {wrote}\n  ava train --config {wrote}\n")
    return 1 if command == "lint" and imported.refused else 0


def take_option(args: list[str], *spellings: str) -> str | None:
    """Remove ``--name VALUE`` or ``--name=VALUE`` from the arguments and return the value.

    Raises:
        UsageError: The value is missing, or the option stands twice.
    """
    found: list[str] = []
    rest: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name not in spellings:
            rest.append(word)
        elif equals:
            found.append(value)
        elif words:
            found.append(words.pop(0))
        else:
            raise UsageError(f"{word} needs a value", fix=f"{word} VALUE")
    if len(found) > 1:
        raise UsageError(f"{spellings[0]} is given twice", fix="keep one of the two")
    args[:] = rest
    return found[0] if found else None


def _default(file: str) -> str:
    return f"{Path(file).stem}.layer.yaml"


def _write(imported: Imported, output: str, *, force: bool) -> str:
    from workbench.dialects.layer_file import layer_text, write_layer

    readings = [reading for reading, _ in imported.readings]
    text = layer_text(imported.joined.layer.tree, readings, imported.titles)
    write_layer(Path(output), text, force=force)
    return relative(output)
