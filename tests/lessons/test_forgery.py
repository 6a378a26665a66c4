"""Runs that were forged, one way each: all of them are refused, each for the reason that it is.

All forgeries that get as far as a replay are replayed by one process.
"""

from __future__ import annotations

import json
import math
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lessons.conftest import STEPS, once
from workbench.lessons.evidence import RunEvidence, Work
from workbench.lessons.outcome import Outcome
from workbench.lessons.workspace import Workspace
from workbench.runs.directory import RunDir
from workbench.runs.follow import parse_rows

Row = dict[str, Any]


class Forger:
    """Changes a copy of a run as somebody would who knows its files."""

    def __init__(self, run: RunDir, trained: Workspace) -> None:
        self.run = run
        self.trained = trained
        self.metrics = run.metrics_path(1)
        self.events = run.attempt_events_path(1)

    def rows(self) -> list[Row]:
        return parse_rows(self.metrics.read_bytes().splitlines())

    def write(self, rows: list[Row]) -> None:
        """With right checksums."""
        bodies = [json.dumps(row, separators=(",", ":")).encode() for row in rows]
        lines = [b"%s\t%08x\n" % (body, zlib.crc32(body)) for body in bodies]
        self.metrics.write_bytes(b"".join(lines))

    def change(self, change: Callable[[Row], None], *, step: int | None = None) -> None:
        rows = self.rows()
        for row in rows:
            if "loss" in row and step in (None, row["step"]):
                change(row)
        self.write(rows)

    def set_config(self, path: str, value: Any, *, written: bool = True) -> None:
        *parents, name = path.split(".")
        whole = json.loads(self.run.config_path.read_text())
        section = whole["config"]
        for parent in parents:
            section = section[parent]
        section[name] = value
        self.run.config_path.write_text(json.dumps(whole))
        if written:
            from workbench.config.render import to_yaml

            (self.run.path / "config.yaml").write_text(to_yaml(whole["config"]))

    def set_end(self, **figures: Any) -> None:
        events = [json.loads(line) for line in self.events.read_text().splitlines()]
        for event in events:
            if event["event"] == "done":
                event["summary"] |= figures
        self.events.write_text("".join(json.dumps(event) + "\n" for event in events))

    def settle(self) -> None:
        """Let the end event say what the rows come to."""
        average = weight = 0.0
        for row in self.rows():
            if "loss" in row and math.isfinite(row["loss"]):
                average, weight = 0.9 * average + 0.1 * row["loss"], 0.9 * weight + 0.1
        self.set_end(loss=average / weight, step=max(row["step"] for row in self.rows()))

    def take(self, name: str, *files: str) -> None:
        """Put files of another run in the place of this one's."""
        for file in files:
            shutil.copy(self.trained.runs / name / file, self.run.path / file)


def _smooth(row: Row) -> None:
    row["loss"] = 2.0 + (math.log(256) - 2.0) * math.exp(-(row["step"] - 1) / 8)


def smooth_decay(forger: Forger) -> None:
    forger.change(_smooth)
    forger.settle()


def scaled(forger: Forger) -> None:
    forger.change(lambda row: row.update(loss=0.5 * row["loss"]))
    forger.settle()


def metrics_of_another_seed(forger: Forger) -> None:
    forger.take("other-seed", "metrics/0001.jsonl", "attempts/0001/events.jsonl")


def metrics_of_another_config(forger: Forger) -> None:
    forger.take("other-rate", "metrics/0001.jsonl", "attempts/0001/events.jsonl")


def another_run_under_this_config(forger: Forger) -> None:
    shutil.rmtree(forger.run.path)
    shutil.copytree(forger.trained.runs / "other-seed", forger.run.path)
    forger.take("honest", "config.yaml", "config.resolved.json", "run.json")


def truncated(forger: Forger) -> None:
    forger.write([row for row in forger.rows() if row["step"] <= STEPS - 5])


def emptied(forger: Forger) -> None:
    forger.write([])


def config_edited(forger: Forger) -> None:
    forger.set_config("training.learning_rate", 0.001, written=False)


def config_edited_in_both_files(forger: Forger) -> None:
    forger.set_config("training.learning_rate", 0.001)


def seed_edited(forger: Forger) -> None:
    forger.set_config("run.seed", 7)


def width_edited(forger: Forger) -> None:
    forger.set_config("model.hidden_size", 32)


def vocabulary_edited(forger: Forger) -> None:
    forger.set_config("model.vocab_size", 512)


def cut_short_and_called_whole(forger: Forger) -> None:
    forger.write([row for row in forger.rows() if row["step"] <= STEPS // 2])
    forger.set_config("training.max_steps", STEPS // 2)
    forger.settle()


def stretched(forger: Forger) -> None:
    rows = forger.rows()
    per_step = rows[0]["tokens"]
    last = [row for row in rows if "loss" in row][-1]
    more = [
        last | {"step": step, "tokens": step * per_step} for step in range(STEPS + 1, 2 * STEPS + 1)
    ]
    forger.write([*rows, *more])
    forger.set_config("training.max_steps", 2 * STEPS)
    forger.settle()


def no_end_event(forger: Forger) -> None:
    lines = forger.events.read_text().splitlines()
    forger.events.write_text("".join(line + "\n" for line in lines if '"done"' not in line))


def no_exit(forger: Forger) -> None:
    (forger.run.attempt_dir(1) / "exit.json").unlink()


def end_of_a_stopped_run(forger: Forger) -> None:
    forger.set_end(state="stopped")


def one_loss_altered(forger: Forger) -> None:
    data = forger.metrics.read_bytes()
    loss = str(forger.rows()[6]["loss"]).encode()
    forger.metrics.write_bytes(data.replace(loss, b"1.25", 1))


def checksums_recomputed(forger: Forger) -> None:
    forger.change(lambda row: row.update(loss=0.9 * row["loss"]), step=15)


def one_late_loss_altered_with_all_that_follows(forger: Forger) -> None:
    checksums_recomputed(forger)
    forger.settle()


def checksums_stripped(forger: Forger) -> None:
    lines = [line.partition(b"\t")[0] for line in forger.metrics.read_bytes().splitlines()]
    forger.metrics.write_bytes(b"".join(line + b"\n" for line in lines))


def steps_doubled(forger: Forger) -> None:
    forger.metrics.write_bytes(2 * forger.metrics.read_bytes())


def one_row_twice(forger: Forger) -> None:
    rows = forger.rows()
    forger.write([*rows[:5], rows[4], *rows[5:]])


def nan_removed(forger: Forger) -> None:
    forger.write([row for row in forger.rows() if row["step"] != 7])


def nan_left(forger: Forger) -> None:
    forger.change(lambda row: row.update(loss="nan"), step=7)


def tokens_inflated(forger: Forger) -> None:
    forger.change(lambda row: row.update(tokens=1000 * row["tokens"]))


def tokens_of_one_step(forger: Forger) -> None:
    forger.change(lambda row: row.update(tokens=row["tokens"] + 1), step=9)


def no_environment(forger: Forger) -> None:
    forger.run.environment_path.unlink()


def another_text(forger: Forger) -> None:
    environment = json.loads(forger.run.environment_path.read_text())
    environment["data_fingerprint"] = "xxh3_128:0"
    forger.run.environment_path.write_text(json.dumps(environment))


def losses_turned_round(forger: Forger) -> None:
    rows = [row for row in forger.rows() if "loss" in row]
    losses = [row["loss"] for row in rows]
    near = [losses[0], *reversed(losses[1:])]
    forger.write([row | {"loss": loss} for row, loss in zip(rows, near, strict=True)])
    forger.settle()


class Forgery(NamedTuple):
    """A way to forge a run, the layer that refuses it, and a part of the reason."""

    forge: Callable[[Forger], None]
    layer: str
    why: str


FORGERIES = (
    Forgery(smooth_decay, "replay", "step 1 says loss 5.5452, replaying its config gives"),
    Forgery(scaled, "first loss", "a model that knows nothing begins near ln(256) = 5.545"),
    Forgery(metrics_of_another_seed, "replay", "says loss"),
    Forgery(metrics_of_another_config, "replay", "step 1 says learning rate"),
    Forgery(another_run_under_this_config, "replay", "says loss"),
    Forgery(truncated, "steps", "step 16 and 4 more are missing"),
    Forgery(emptied, "steps", "it has 0 steps of 1 to 20"),
    Forgery(config_edited, "config", "files disagree on training.learning_rate"),
    Forgery(config_edited_in_both_files, "replay", "step 1 says learning rate"),
    Forgery(seed_edited, "replay", "says loss"),
    Forgery(width_edited, "replay", "says loss"),
    Forgery(vocabulary_edited, "config", "ready with a vocabulary of 256"),
    Forgery(cut_short_and_called_whole, "replay", " says learning rate "),
    Forgery(stretched, "replay", " says learning rate "),
    Forgery(no_end_event, "end", "no end event"),
    Forgery(no_exit, "end", "there is no exit.json"),
    Forgery(end_of_a_stopped_run, "end", "its end event says stopped"),
    Forgery(one_loss_altered, "steps", "its checksum is wrong"),
    Forgery(checksums_recomputed, "numbers", "its end event says a smoothed loss of"),
    Forgery(one_late_loss_altered_with_all_that_follows, "replay", "step 15 says loss"),
    Forgery(checksums_stripped, "steps", "has no checksum"),
    Forgery(steps_doubled, "steps", "a step twice"),
    Forgery(one_row_twice, "steps", "step 5 comes after step 5"),
    Forgery(nan_removed, "steps", "step 7 is missing"),
    Forgery(nan_left, "numbers", "the loss of step 7 is no number"),
    Forgery(tokens_inflated, "replay", "step 1 says tokens"),
    Forgery(tokens_of_one_step, "numbers", "step 9 counts"),
    Forgery(no_environment, "steps", "there is no environment.json"),
    Forgery(another_text, "replay", "cannot be replayed"),
    Forgery(losses_turned_round, "replay", "step 2 says loss"),
)
NAMES = [each.forge.__name__ for each in FORGERIES]


@pytest.fixture(scope="session")
def forged(trained: Workspace, shared: Path) -> Workspace:
    """All forged runs, and beside them the honest ones; replayed by the first who asks."""
    folder = shared / "forged"
    with once(folder) as first:
        workspace = Workspace.open(folder)
        if first:
            for each in FORGERIES:
                target = workspace.runs / each.forge.__name__.replace("_", "-")
                shutil.copytree(trained.runs / "honest", target)
                each.forge(Forger(RunDir(target), trained))
            for name in ("honest", "other-seed", "other-rate"):
                shutil.copytree(trained.runs / name, workspace.runs / name)
            work = Work(workspace, "tiny")
            opened = {run.name: run for run in work.runs()}
            assert len(opened) == len(FORGERIES) + 3
            opened["honest"].verify(work)
    return workspace


def _verdict(workspace: Workspace, name: str) -> Outcome | None:
    work = Work(workspace, "tiny")
    run = work.run(name)
    assert isinstance(run, RunEvidence)
    return run.verify(work)


@pytest.mark.parametrize("forgery", FORGERIES, ids=NAMES)
def test_a_forged_run_is_refused_for_what_it_is(forged: Workspace, forgery: Forgery) -> None:
    outcome = _verdict(forged, forgery.forge.__name__.replace("_", "-"))
    assert outcome is not None, "it was taken for a real one"
    assert outcome.status == "fail"
    assert outcome.evidence["layer"] == forgery.layer, outcome.why
    assert forgery.why in outcome.why


@pytest.mark.parametrize("name", ["honest", "other-seed", "other-rate"])
def test_the_run_that_it_was_made_of_is_believed(forged: Workspace, name: str) -> None:
    assert _verdict(forged, name) is None
