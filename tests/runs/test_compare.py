"""Runs side by side: what differs, what helped, and curves that lie over each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.runs.compare import (
    Figures,
    aligned,
    better,
    config_diff,
    figures,
    flat,
    groups,
    main_metric,
    on_one_grid,
    single_changes,
    table,
)
from workbench.runs.directory import create_run
from workbench.runs.writer import MetricWriter

BASE: dict[str, Any] = {
    "training": {"learning_rate": 0.001, "batch_size": 2, "max_steps": 10},
    "run": {"seed": 1, "name": None, "tags": None},
    "model": {"hidden_size": 8, "rope": {"theta": 1e4}},
}


def make(
    folder: Path,
    name: str,
    losses: list[float],
    *,
    tokens: int = 100,
    seconds: float = 1.0,
    attempts: tuple[int, ...] = (1,),
    **changes: Any,
) -> Figures:
    tree = {section: dict(values) for section, values in BASE.items()}
    tree["run"]["name"] = name
    for path, value in changes.items():
        section, _, key = path.partition("__")
        tree[section][key] = value
    run = create_run(
        folder / "runs", name, config=tree, origins={}, config_yaml="", meta={"recipe": "x"}
    )
    now = 1e9
    writer = MetricWriter(run.metrics_path(1))
    number = 1
    for step, loss in enumerate(losses, 1):
        if step in attempts and step > 1:
            writer.close()
            number += 1
            writer = MetricWriter(run.metrics_path(number))
            now += 86_400  # it lay still for a day
        now += seconds
        facts = {"step": step, "t": now, "loss": loss, "tokens": step * tokens, "step_s": seconds}
        writer.write(facts)
    writer.close()
    return figures(run)


def test_best_values_know_their_step_and_survive_nan(tmp_path: Path) -> None:
    found = make(tmp_path, "a", [3.0, math.nan, 1.0, math.inf, 2.0])
    assert found.best["loss"] == (1.0, 3)
    assert found.last["loss"] == 2.0
    assert (found.steps, found.tokens, found.seconds) == (5, 500, 5.0)
    assert (better("val_loss"), better("tokens_per_s")) == ("lower", "higher")


def test_config_diff_tells_numbers_from_switches(tmp_path: Path) -> None:
    a = make(tmp_path, "a", [1.0], training__amp=1)
    b = make(tmp_path, "b", [1.0], training__amp=True, model__new="x")
    assert config_diff([a, b]) == {
        "training.amp": [1, True],
        "run.name": ["a", "b"],
        "model.new": [None, "x"],
    }
    assert config_diff([a]) == {}
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_curves_align_by_step_tokens_and_time(tmp_path: Path) -> None:
    slow = make(tmp_path, "slow", [4.0, 3.0, 2.0, 1.0], tokens=100, seconds=2.0)
    fast = make(tmp_path, "fast", [4.0, 2.0], tokens=200, seconds=1.0)
    by_step, by_tokens, by_time = (
        aligned([slow, fast], "loss", axis) for axis in ("step", "tokens", "time")
    )
    assert list(by_step["fast"][0]) == [1, 2]
    assert list(by_tokens["fast"][0]) == [200, 400]
    assert list(by_time["slow"][0]) == [2.0, 4.0, 6.0, 8.0]
    assert list(by_time["fast"][0]) == [1.0, 2.0]
    grid, drawn = on_one_grid(by_tokens, 5)
    assert (grid[0], grid[-1]) == (100, 400), "from the first to where the first one ends"
    assert np.isnan(drawn["fast"][0]), "no token count below its first row"
    assert drawn["slow"][-1] == 1.0
    assert aligned([slow], "nothing") == {}
    assert on_one_grid({})[1] == {}


def test_pauses_between_attempts_cost_no_time(tmp_path: Path) -> None:
    resumed = make(tmp_path, "r", [1.0] * 6, attempts=(4,), seconds=2.0)
    assert resumed.seconds == pytest.approx(12.0)


def test_seeds_are_taken_together(tmp_path: Path) -> None:
    runs = [
        make(tmp_path, f"s{seed}", [loss], run__seed=seed)
        for seed, loss in ((1, 2.0), (2, 2.2), (3, 1.8))
    ]
    runs.append(make(tmp_path, "other", [1.0], training__batch_size=4))
    best, seeds = groups(runs, "loss")
    assert best.runs == ("other",)
    assert best.deviation is None
    assert set(seeds.runs) == {"s1", "s2", "s3"}
    assert (seeds.mean, seeds.deviation) == (pytest.approx(2.0), pytest.approx(0.2))


def test_which_single_change_made_it_better(tmp_path: Path) -> None:
    runs = [
        make(tmp_path, "base", [2.0]),
        make(tmp_path, "base2", [2.2], run__seed=2),
        make(tmp_path, "big", [1.5], training__batch_size=4),
        make(tmp_path, "quick", [2.05], training__learning_rate=0.01),
        make(tmp_path, "both", [0.5], training__batch_size=4, training__learning_rate=0.01),
        make(
            tmp_path, "far", [9.9],
            run__tags=["x"], run__seed=3, model__hidden_size=9, training__batch_size=3,
        ),
    ]  # fmt: skip
    found = single_changes(runs, "loss")
    assert [(c.key, c.worse, c.better, round(c.before, 3), round(c.after, 3)) for c in found] == [
        ("training.batch_size", 2, 4, 2.05, 0.5),
        ("training.learning_rate", 0.001, 0.01, 1.5, 0.5),
        ("training.batch_size", 2, 4, 2.1, 1.5),
        ("training.learning_rate", 0.001, 0.01, 2.1, 2.05),
    ]
    assert [c.certain for c in found] == [None, None, True, False]
    assert found[2].worse_runs == ("base", "base2")
    assert found[0].gain == pytest.approx(1.55)


def test_higher_is_better_for_speed(tmp_path: Path) -> None:
    fast = make(tmp_path, "fast", [1.0], training__batch_size=4)
    slow = make(tmp_path, "slow", [1.0])
    for each, value in ((fast, 9.0), (slow, 5.0)):
        each.best["tokens_per_s"] = value, 1
    (change,) = single_changes([slow, fast], "tokens_per_s")
    assert change.better_runs == ("fast",)


def test_the_table_names_what_differs(tmp_path: Path) -> None:
    rows = table(
        [make(tmp_path, "a", [2.0, 1.0]), make(tmp_path, "b", [3.0], training__batch_size=4)]
    )
    assert [row["config"] for row in rows] == [
        {"training.batch_size": 2},
        {"training.batch_size": 4},
    ]
    assert rows[0]["best"] == {"loss": 1.0}
    assert main_metric([]) is None
