"""`ava-tui`: the workbench in a terminal.

`main` reads the command line before anything is imported, so that `--help` is instant.
"""

from __future__ import annotations

import sys

_HELP = """\
usage: ava-tui [--runs_dir DIR] [--lesson ID] [--ascii] [--light | --contrast]

Learn in lessons that train for real; choose a recipe, change it and see at every
key what it will take, launch it, watch it, compare it with others, come back to it.
Runs belong to themselves: closing ava-tui leaves them running.

  --runs_dir DIR   folder of the runs (./runs)
  --lesson ID      begin with a lesson, by its id or number
  --workspace DIR  folder of your lessons (as ava lessons says)
  --ascii          draw with ASCII characters only
  --light          begin with the light theme (key t changes it)
  --contrast       begin with the theme of high contrast
  --tour           show again what the first start shows
  --web [PORT]     the same in a browser on this machine, at 127.0.0.1 alone
  --keys           print the keys, in the form of the file that changes them
  --version        print the version
  --help           print this

Inside, ? shows every key. NO_COLOR=1 in the environment turns colours off.
The same things without a screen: ava train, ava runs, ava runs watch NAME.
"""

_FLAGS = ("--ascii", "--light", "--contrast", "--tour", "--web")
_VALUES = {
    "--runs_dir": "a folder",
    "--lesson": "its id or number",
    "--workspace": "a folder",
    "--port": "a number",
    "--host": "a name",
}


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
    if arguments == ["--keys"]:
        from workbench.tui.own_keys import as_yaml

        sys.stdout.write(as_yaml())
        return 0
    from workbench.errors import WorkbenchError

    try:
        from workbench.runs.directory import expanded

        values, flags = _parse(arguments)
        runs_dir = str(expanded(values.get("--runs_dir", "runs")))
        if "--web" in flags:
            from workbench.tui.web import serve

            return serve(values, [flag for flag in _FLAGS if flag in flags - {"--web"}])
        _check_terminal()
        _take_over_keys()
    except WorkbenchError as error:
        sys.stderr.write(error.render() + "\n")
        return error.exit_code
    return _start(runs_dir, values, flags)


def _start(runs_dir: str, values: dict[str, str], flags: set[str]) -> int:
    """Take the terminal; returns the exit code."""
    import gc

    gc.disable()  # until the first paint: nothing of what is imported is garbage
    plain = "--ascii" in flags or not _speaks_unicode()
    try:
        from workbench.tui.app import run

        theme = next((name for name in ("light", "contrast") if f"--{name}" in flags), "dark")
        return run(
            runs_dir,
            plain=plain,
            theme=f"ava-{theme}",
            workspace=values.get("--workspace"),
            lesson=values.get("--lesson", ""),
            tour="--tour" in flags or _is_first_start(),
        )
    except KeyboardInterrupt:  # before the screen was there
        return 130


def _parse(arguments: list[str]) -> tuple[dict[str, str], set[str]]:
    from workbench.errors import UsageError

    values: dict[str, str] = {}
    flags: set[str] = set()
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        name = name.replace("-", "_").replace("__", "--", 1)
        if name in _VALUES:
            values[name] = value if equals else (rest.pop(0) if rest else "")
            if not values[name]:
                raise UsageError(f"{name} needs {_VALUES[name]}", fix="ava-tui --help")
        elif name == "--web" and (equals or (rest and rest[0].isdecimal())):
            flags.add(name)
            values["--port"] = value if equals else rest.pop(0)
        elif argument in _FLAGS:
            flags.add(argument)
        else:
            import difflib

            close = difflib.get_close_matches(argument, [*_VALUES, *_FLAGS, "--help"], 1)
            hint = f"did you mean {close[0]}?" if close else "ava-tui --help"
            raise UsageError(f"ava-tui has no option {argument!r}", fix=hint)
    if "--web" not in flags and {"--port", "--host"} & values.keys():
        raise UsageError("--port and --host belong to --web", fix="ava-tui --web")
    return values, flags


def _is_first_start() -> bool:
    """Whether the tour was never shown here; asked without importing what shows it."""
    import os

    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
    return not os.path.exists(f"{home}/ava/toured")  # noqa: PTH110


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

    if os.environ.get("TEXTUAL_DRIVER"):
        return  # a browser, through textual-serve
    drawable = all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout))  # None: closed
    if not drawable or os.environ.get("TERM") == "dumb":
        raise UsageError(
            "ava-tui needs a terminal that it can draw on",
            why="input or output is a file or a pipe, or TERM is dumb",
            fix="run it in a terminal (over ssh: ssh -t), or use: ava train, ava runs",
        )


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
