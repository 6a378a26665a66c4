"""Real pictures of the real program: `ava-tui` in a real terminal (tmux), watching a real run.

    python tests/tui/screenshots.py [--out DIR] [--runs_dir DIR] [--run NAME] [--steps N]

Without --runs_dir it trains the recipe tiny_cpu in a temporary folder, three short runs that are
compared and a long one, takes the pictures while that is at --steps steps, and stops it. With
--runs_dir it shows what is there. Needs tmux.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tests.tui.picture import draw  # noqa: E402
from tests.tui.tmux import Tmux  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

_PYTHONPATH = f"{ROOT}:{ROOT / 'kernels'}"
_DEADLINE = 900.0
_DARK, _LIGHT = (14, 18, 25), (255, 255, 255)


class Shot(NamedTuple):
    """One picture: its name, size, the keys that lead to it, and a word that shows it is there.

    Among the keys, ``see WORD`` waits for a word.
    """

    name: str
    size: tuple[int, int]
    keys: tuple[str, ...]
    word: str
    light: bool = False


_RATES = ("0.001", "0.004", "0.02")  # of the runs that are compared
_SHORT = ("--training.max_steps", "80", "--training.warmup_steps", "8")
_COMPARE = ("w", "Down", *("Space",) * len(_RATES), "c")  # below the live run

_LESSON = (
    "F2",
    "see not attempted",
    "Enter",
    "see 1 of ",
    "Right",
    "see 2 of ",
    "Enter",
    "see done",
)

# Every place at the two sizes, dark and light.
_PLACES = (
    ("learn", ("F2",), "not attempted"),
    ("lesson", _LESSON, "● kernel"),
    ("build", ("e",), "tokens"),
    ("launch", (), "tokens per step"),
    ("watch", ("F5",), "It writes"),
    ("compare", _COMPARE, "nats per token"),
)

SHOTS = (
    Shot("ava-tui", (120, 36), ("w",), "It writes"),
    Shot("ava-tui-curves", (120, 36), ("w", "v"), "nats per token"),
    Shot("ava-tui-predicted", (120, 36), ("w", "p"), "median of the steps"),
    Shot("ava-tui-system", (120, 36), ("w", "u"), "cores busy"),
    Shot("ava-tui-compare-table", (120, 36), (*_COMPARE, "Tab"), "One thing changed"),
    *(
        Shot(
            f"ava-tui-{name}-{size[0]}x{size[1]}{'-light' if light else ''}",
            size,
            keys,
            word,
            light=light,
        )
        for name, keys, word in _PLACES
        for size in ((80, 24), (160, 48))
        for light in (False, True)
    ),
)


def _until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not true():
        if time.monotonic() > deadline:
            sys.exit(f"never saw {what}")
        time.sleep(0.2)


def _take(shot: Shot, folder: Path, runs_dir: str, run: str, out: Path) -> None:
    arguments = ["--runs_dir", runs_dir, "--workspace", "my-lessons"]
    arguments += ["--light"] if shot.light else []
    tmux = Tmux(shot.size, folder, arguments)
    try:
        tmux.see("tokens per step")
        tmux.see(run[:20])
        tmux.see("✓ tiny_cpu")
        for key in shot.keys:
            act = tmux.see if key.startswith("see ") else tmux.press
            act(key.removeprefix("see "))
        tmux.see(shot.word)
        # What belongs together is drawn within a poll of each other: wait for two equal pictures.
        before = ""
        while before != (now := tmux.picture()):
            before = now
            time.sleep(0.1)
        path = out / f"{shot.name}.png"
        draw(now, *shot.size, back=_LIGHT if shot.light else _DARK).save(path, optimize=True)
        print(f"{path}  {path.stat().st_size // 1024} KiB")
    finally:
        tmux.close()


def _ava(folder: Path, *words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "workbench.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": _PYTHONPATH},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def _step(folder: Path, run: str) -> int:
    import json

    return int(json.loads(_ava(folder, "runs", "show", run, "--json"))["step"])


def main() -> int:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "lessons" / "images")
    parser.add_argument("--runs_dir", type=Path)
    parser.add_argument("--run", default="", help="a word of the list to wait for")
    parser.add_argument("--steps", type=int, default=420)
    parser.add_argument("--only", default="", help="name of one picture")
    options = parser.parse_args()
    if not shutil.which("tmux"):
        sys.exit("the pictures are taken in tmux, which is not installed")
    options.out.mkdir(parents=True, exist_ok=True)
    shots = [shot for shot in SHOTS if options.only in ("", shot.name)]
    if options.runs_dir:
        folder = options.runs_dir.resolve().parent
        for shot in shots:
            _take(shot, folder, options.runs_dir.name, options.run, options.out)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if any(shot.keys[: len(_COMPARE)] == _COMPARE for shot in shots):
            for rate in _RATES:
                _ava(folder, "train", "tiny_cpu", "--run.name", f"rate-{rate}", *_SHORT,
                     "--training.learning_rate", rate)  # fmt: skip
        run = _ava(folder, "launch", "tiny_cpu")
        try:
            _until(lambda: _step(folder, run) >= options.steps, f"step {options.steps}")
            for shot in shots:
                _take(shot, folder, "runs", run, options.out)
        finally:
            _ava(folder, "runs", "stop", run, "--now")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
