"""`ava-tui`: the workbench in a terminal.

`main` reads the command line before anything is imported, so that `--help` is instant.
"""

from __future__ import annotations

import sys

_HELP = """\
usage: ava-tui [--runs_dir DIR] [--ascii] [--light | --contrast]

Choose a recipe, change it and see at every key what it will take, launch it,
watch it learn, compare it with others, stop it, come back to it.
Runs belong to themselves: closing ava-tui leaves them running.

  --runs_dir DIR   folder of the runs (./runs)
  --ascii          draw with ASCII characters only
  --light          begin with the light theme (key t changes it)
  --contrast       begin with the theme of high contrast
  --keys           print the keys, in the form of the file that changes them
  --version        print the version
  --help           print this

Inside, ? shows every key. NO_COLOR=1 in the environment turns colours off.
The same things without a screen: ava train, ava runs, ava runs watch NAME.
"""

_FLAGS = ("--ascii", "--light", "--contrast")


def main(argv: list[str] | None = None) -> int:
    """Run `ava-tui`; returns the exit code: 0 left, 2 wrong usage, 128 + n ended by signal n."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(_HELP)
        return 0
    if "--version" in arguments:
        from workbench import __version__

        sys.stdout.write(f"ava-tui {__version__}\n")
        return 0
    from workbench.errors import WorkbenchError

    if arguments == ["--keys"]:
        from workbench.tui.own_keys import as_yaml

        sys.stdout.write(as_yaml())
        return 0
    try:
        from workbench.runs.directory import expanded

        runs_dir, flags = _parse(arguments)
        runs_dir = str(expanded(runs_dir))
        _check_terminal()
        _take_over_keys()
    except WorkbenchError as error:
        sys.stderr.write(error.render() + "\n")
        return error.exit_code
    import gc

    gc.disable()  # until the first paint: nothing of what is imported is garbage
    plain = "--ascii" in flags or not _speaks_unicode()
    try:
        from workbench.tui.app import run

        theme = next((name for name in ("light", "contrast") if f"--{name}" in flags), "dark")
        return run(runs_dir, plain=plain, theme=f"ava-{theme}")
    except KeyboardInterrupt:  # before the screen was there
        return 130


def _parse(arguments: list[str]) -> tuple[str, set[str]]:
    from workbench.errors import UsageError

    runs_dir, flags, rest = "runs", set(), iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        name = name.replace("-", "_").replace("__", "--", 1)
        if name == "--runs_dir":
            runs_dir = value if equals else next(rest, "")
            if not runs_dir:
                raise UsageError("--runs_dir needs a folder", fix="ava-tui --runs_dir runs")
        elif argument in _FLAGS:
            flags.add(argument)
        else:
            import difflib

            close = difflib.get_close_matches(argument, ["--runs_dir", *_FLAGS, "--help"], 1)
            hint = f"did you mean {close[0]}?" if close else "ava-tui --help"
            raise UsageError(f"ava-tui has no option {argument!r}", fix=hint)
    return runs_dir, flags


def _take_over_keys() -> None:
    """A person's own keys, for those who have changed some: others do not pay for it."""
    import os

    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    if os.path.exists(f"{home}/ava/keys.yaml"):  # noqa: PTH110
        from workbench.tui.own_keys import take_over

        take_over()


def _check_terminal() -> None:
    import os

    from workbench.errors import UsageError

    drawable = all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout))  # None: closed
    if not drawable or os.environ.get("TERM") == "dumb":
        raise UsageError(
            "ava-tui needs a terminal that it can draw on",
            why="input or output is a file or a pipe, or TERM is dumb",
            fix="run it in a terminal (over ssh: ssh -t), or use: ava train, ava runs",
        )


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
