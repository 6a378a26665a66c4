"""`ava runs note`, `tag`, `rename` and `rm`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from workbench.cli.output import print_json, relative
from workbench.cli.runs.arguments import chosen
from workbench.cli.runs.listing import ago
from workbench.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace


def note(options: Namespace) -> int:
    """Write a note, or read them all."""
    from workbench.runs.labels import add_note, notes

    item = chosen(options)
    if options.text:
        add_note(item, " ".join(options.text))
    if options.json:
        print_json(notes(item))
    elif not options.text:
        for each in notes(item):
            sys.stdout.write(f"{ago(each.get('t')):<14} {each['note']}\n")
    return 0


def tag(options: Namespace) -> int:
    """Add and remove tags, and say which there are."""
    from workbench.runs.labels import change_tags, tags

    item = chosen(options)
    if options.tags or options.remove:
        found = change_tags(item, options.tags, options.remove)
    else:
        found = tags(item)
    if options.json:
        print_json({"name": item.name, "tags": found})
    else:
        sys.stdout.write("".join(f"{word}\n" for word in found))
    return 0


def rename(options: Namespace) -> int:
    """Give a run another name."""
    from workbench.runs.labels import rename_run

    item = chosen(options)
    renamed = rename_run(item, options.new)
    if options.json:
        print_json({"name": renamed.name, "path": str(renamed.path), "before": item.name})
    else:
        sys.stdout.write(f"{item.name} is {renamed.name} now\n")
    return 0


def rm(options: Namespace) -> int:
    """Delete a run, after asking."""
    from workbench.runs.directory import delete_run

    item = chosen(options)
    question = f"delete {relative(item.path)} with all its checkpoints?"
    if not confirmed(question, f"ava runs rm {item.name} --yes", options):
        return 0
    delete_run(item)
    if options.json:
        print_json({"name": item.name, "deleted": True})
    else:
        sys.stdout.write(f"deleted {item.name}\n")
    return 0


def confirmed(question: str, command: str, options: Namespace) -> bool:
    """Whether the person says yes, here or by --yes.

    Raises:
        UsageError: There is nobody to ask.
    """
    if options.yes:
        return True
    if options.json or not sys.stdin.isatty():
        raise UsageError("deleting needs a yes", why=question.rstrip("?"), fix=command)
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    sys.stdout.write("kept\n")
    return False
