"""The first steps of a run once more: ``python -m workbench.training.replay RUN_DIR … --out FILE``.

A run says in config, seed and environment how it was trained, so that its first steps can be
computed again, by the loop that computed them: same threads, same number format, same text. What
comes out is laid beside the rows of the run by `workbench.lessons.replaying`. Nothing is written
into the run: each replay works in a run directory of its own, in a temporary folder, and there is
no evaluation, no sample and no checkpoint.

At least ``--least`` steps are replayed, and more while they are cheap: as many as fit into `_FLOPS`
of arithmetic, at 6 per parameter and token (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). The
runs of the lessons are replayed whole this way, so that no step of theirs can be altered unseen.

Several processes replay a run of several processes, started by torchrun as the run was. Runs of one
process share one replaying process, for the start of torch takes longer than their steps.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import WorkbenchError
from workbench.runs.directory import RunDir
from workbench.runs.files import atomic_write_json, parse_line, read_json
from workbench.training.stop import StopSignals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.training.session import Session

LEAST: Final = 5
_MOST: Final = 200
_FLOPS: Final = 4e10
_OWN: Final = ("loss", "lr", "grad_norm", "tokens")
"""What is compared of a row; the rest of it is about time and memory."""


def main(argv: Sequence[str] | None = None) -> int:
    """Replay each run and write what came out."""
    parser = argparse.ArgumentParser(prog="python -m workbench.training.replay")
    parser.add_argument("run_dirs", type=Path, nargs="+")
    parser.add_argument("--least", type=int, default=LEAST)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    runs = [RunDir(path) for path in arguments.run_dirs]
    out = arguments.out.absolute()
    answers = []
    for run in runs:
        answers.append(_answer(run, arguments.least))
        if os.environ.get("RANK", "0") == "0":
            atomic_write_json(out, {"answers": answers})
    if os.environ.get("WORLD_SIZE", "1") != "1":
        # As at the end of a training: freeing DDP's reducer may hang (workbench.training.__main__).
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _answer(run: RunDir, least: int) -> dict[str, Any]:
    """The rows of a replay, or why there is none."""
    try:
        return {"run": str(run.path), "problem": None, **replay(run, least)}
    except WorkbenchError as error:
        return {"run": str(run.path), "problem": error.what, "rows": []}
    except Exception as error:  # noqa: BLE001 - a run that was tampered with may fail anywhere
        return {"run": str(run.path), "problem": f"{type(error).__name__}: {error}", "rows": []}


def replay(run: RunDir, least: int = LEAST) -> dict[str, Any]:
    """Train the first steps of a run again.

    Returns:
        ``rows``: one per step, as the run itself should have them; ``ended``: what ended it early,
        such as a loss that is not finite; ``differences``: what this machine has otherwise than the
        one of the run, so that more than the last bits may differ.

    Raises:
        WorkbenchError: The run cannot be replayed: its text has changed, or its config cannot be
            used.
    """
    from workbench.training import environment
    from workbench.training.distributed import World, open_world
    from workbench.training.loop import dry_run, take_step
    from workbench.training.lr_finder import search_learning_rate
    from workbench.training.session import open_session, read_config

    with tempfile.TemporaryDirectory(prefix="ava-replay-") as folder, _where_it_was(run):
        scratch, last = _scratch(run, Path(folder))
        config = read_config(scratch)
        device = environment.choose_device(config.run, World.from_environment().local_rank)
        rows: list[dict[str, Any]] = []
        ended = None
        with open_world(config, device) as world:
            session = open_session(scratch, 1, StopSignals(), world)
            talker, session.report = session.report, _Recorder(rows)  # type: ignore[assignment]
            try:
                dry_run(session)
                search_learning_rate(session)
                steps = min(_steps(session, least), last or _MOST)
                while session.progress.step < steps and not session.complete:
                    take_step(session)
            except WorkbenchError as error:  # as the run itself: a loss that is not finite
                ended = error.what
            finally:
                session.close()
                if world.leads:
                    talker.close()
            now = environment.describe(device, 0)
    recorded = read_json(run.environment_path)
    same = [each for each in environment.differences(recorded, now) if not each.startswith("git")]
    return {"rows": rows, "ended": ended, "differences": same}


def _steps(session: Session, least: int) -> int:
    """How many steps are worth it."""
    flops = 6 * session.parameters * session.tokens_per_step
    return max(least, min(_MOST, int(_FLOPS / max(1, flops))))


class _Recorder:
    """Stands in for the `Reporter`: keeps the rows, and has no effect otherwise."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def stepped(self, row: dict[str, Any], max_steps: int) -> None:
        """Keep what is compared of a row."""
        del max_steps
        self._rows.append({"step": row["step"], **{name: row[name] for name in _OWN}})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_args, **_kwargs: None


@contextlib.contextmanager
def _where_it_was(run: RunDir) -> Iterator[None]:
    """The folder in which the run found its relative paths."""
    before = Path.cwd()
    cwd = read_json(run.attempt_dir(1) / "cmd.json").get("cwd")
    if isinstance(cwd, str) and Path(cwd).is_dir():
        os.chdir(cwd)
    try:
        yield
    finally:
        os.chdir(before)


def _scratch(run: RunDir, folder: Path) -> tuple[RunDir, int | None]:
    """A fresh run with the config that the run began with, and the last step it holds for.

    The last step is None when the config has never changed.
    """
    tree, last = first_config(run)
    tree["logging"] = {"loss_smoothing": tree.get("logging", {}).get("loss_smoothing", 0.9)}
    tree.setdefault("training", {})["logging_steps"] = 1
    for tier in ("memory_tier", "storage_tier"):
        tree.setdefault("checkpointing", {}).setdefault(tier, {})["enabled"] = False
    scratch = RunDir(folder / "run")
    scratch.attempt_dir(1).mkdir(parents=True)
    atomic_write_json(scratch.config_path, {"schema": 1, "config": tree, "origins": run.origins()})
    # Of its own creation: by that a run finds what it has in memory.
    atomic_write_json(scratch.meta_path, {"schema": 1, "name": "run", "created": time.time()})
    if run.environment_path.exists():
        atomic_write_json(scratch.environment_path, read_json(run.environment_path))
    return scratch, last


def first_config(run: RunDir) -> tuple[dict[str, Any], int | None]:
    """The config of a run as it began, and the last step before it was changed; None if never."""
    tree = run.config()
    events = [parse_line(line) for line in _lines(run.events_path)]
    changes = [each for each in events if each.get("event") == "config_changed"]
    for event in reversed(changes):
        for path, pair in (event.get("changes") or {}).items():
            *parents, name = str(path).split(".")
            section: Any = tree
            for parent in parents:
                section = section.get(parent, {})
            section[name] = pair[0]
    if not changes:
        return tree, None
    started = [e for e in events if e.get("event") == "attempt" and e["t"] > changes[0]["t"]]
    attempt = started[0].get("attempt") if started else None
    rows = [parse_line(line.partition(b"\t")[0]) for line in _lines(run.metrics_path(attempt or 2))]
    first = next((row["step"] for row in rows if isinstance(row.get("step"), int)), None)
    return tree, None if first is None else first - 1


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in workbench.training.__main__
    sys.exit(main())
