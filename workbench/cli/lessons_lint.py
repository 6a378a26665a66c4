"""`ava lessons lint`: what is wrong in lesson files."""

from __future__ import annotations

from pathlib import Path

from workbench.cli.output import console, print_json, relative


def lint(names: list[str], *, json: bool) -> int:
    """Lint lessons; 1 where there is a problem."""
    from workbench.cli import COMMANDS
    from workbench.lessons.catalogue import course_files, path_of
    from workbench.lessons.linting import lint as problems_of

    files = [path_of(name) or Path(name) for name in names] or course_files()
    found = problems_of(files, commands=COMMANDS)
    if json:
        print_json([each._asdict() for each in found])
        return 1 if found else 0
    out = console()
    for each in found:
        out.print(each._replace(path=relative(each.path)).render(), markup=False)
    noun = "lesson" if len(files) == 1 else "lessons"
    many = "no problem" if not found else f"{len(found)} problem{'s' if len(found) > 1 else ''}"
    out.print(f"{many} in {len(files)} {noun}", markup=False, style="dim")
    return 1 if found else 0
