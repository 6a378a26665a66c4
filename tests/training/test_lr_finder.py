"""The search for a learning rate finds one, and leaves everything as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.helpers import MakeRun, curve, events
from workbench.training import loop, lr_finder
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals

pytestmark = pytest.mark.usefixtures("in_process")

QUIET: dict[str, Any] = {"evaluation": {"max_new_tokens": 0}}
SEARCH: dict[str, Any] = {
    "enabled": True, "start_lr": 1e-5, "end_lr": 10.0, "num_iterations": 12, "beta": 0.5,
}  # fmt: skip


def attempt(run: Any, number: int = 1) -> Session:
    session = open_session(run, number, StopSignals())
    try:
        loop.train(session)
    finally:
        session.close()
    return session


def found(run: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((run.path / lr_finder.FILE).read_text())
    return result


def search(make_run: MakeRun, **options: Any) -> dict[str, Any]:
    run = make_run(
        **QUIET,
        model={"hidden_dropout": 0.0},
        training={"lr_finder": {**SEARCH, **options}, "mixed_precision": "no"},
    )
    session = open_session(run, 1, StopSignals())
    with pytest.MonkeyPatch.context() as patch:
        if "plot_path" not in options:  # a picture takes longer than the search
            patch.setattr(lr_finder, "_draw", lambda *_args: None)
        lr_finder.search_learning_rate(session)
    session.close()
    return found(run)


@pytest.mark.honours("training.lr_finder.enabled")
@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit", "adagrad"])
def test_a_search_changes_nothing(make_run: MakeRun, optimizer: str) -> None:
    options = {"optimizer": optimizer, "mixed_precision": "bf16"}
    if optimizer == "adamw":
        options["split_weights"] = True  # type: ignore[assignment]
    plain = attempt(make_run(**QUIET, training=options))
    searched = attempt(make_run(**QUIET, training={**options, "lr_finder": SEARCH}))
    assert curve(plain.run) == curve(searched.run), "with dropout: the random numbers too"
    one, other = plain.engine.state(), searched.engine.state()
    for kind, tensors in one.items():
        assert tensors.keys() == other[kind].keys()
        assert all(torch.equal(value, other[kind][name]) for name, value in tensors.items())
    assert (searched.run.path / lr_finder.PICTURE).read_bytes().startswith(b"\x89PNG")
    assert (
        events(searched.run, 1, "lr_finder")[0]["suggestion"] == found(searched.run)["suggestion"]
    )
    assert not (plain.run.path / lr_finder.FILE).exists()


@pytest.mark.honours("training.lr_finder.use_suggested_lr")
def test_the_suggestion_is_trained_with_and_resumed_with(make_run: MakeRun) -> None:
    options = {"lr_finder": {**SEARCH, "use_suggested_lr": True}, "lr_scheduler_type": "constant"}
    whole, parts = make_run(**QUIET, training=options), make_run(**QUIET, training=options)
    attempt(whole)
    suggestion = found(whole)["suggestion"]
    assert suggestion is not None
    assert suggestion != 0.01
    assert curve(whole)["lr"][-1][1] == suggestion

    session = open_session(parts, 1, StopSignals())
    steps = iter(range(3))
    stopping = session.stopping
    session.stopping = lambda: stopping() or next(steps, None) is None  # type: ignore[method-assign]
    assert loop.train(session) == "stopped"
    session.close()
    (parts.path / lr_finder.PICTURE).unlink()
    attempt(parts, 2)
    assert curve(parts) == curve(whole)
    assert not (parts.path / lr_finder.PICTURE).exists(), "it does not search again"


@pytest.mark.honours(
    "training.lr_finder.start_lr", "training.lr_finder.end_lr", "training.lr_finder.num_iterations"
)
def test_the_range(make_run: MakeRun) -> None:
    rates = search(make_run, start_lr=1e-4, end_lr=1e-2, num_iterations=5)["rates"]
    assert rates == pytest.approx([1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2])


@pytest.mark.honours("training.lr_finder.stop_div_threshold")
def test_it_stops_when_the_loss_explodes(make_run: MakeRun) -> None:
    wild = {"end_lr": 1e4, "num_iterations": 24, "beta": 0.0}
    strict, patient = (
        search(make_run, **wild, stop_div_threshold=1.1),
        search(make_run, **wild, stop_div_threshold=1e9),
    )
    assert strict["steps"] < patient["steps"]
    assert strict["losses"] == patient["losses"][: strict["steps"]]
    assert strict["losses"][-1] > 1.1 * min(strict["losses"])


@pytest.mark.honours("training.lr_finder.beta")
def test_smoothing(make_run: MakeRun) -> None:
    raw = search(make_run, beta=0.0)
    assert raw["losses"] == raw["raw_losses"][0]
    assert search(make_run, beta=0.9)["losses"] != raw["losses"]


@pytest.mark.honours("training.lr_finder.num_runs")
def test_several_searches_are_averaged(make_run: MakeRun) -> None:
    once, twice = search(make_run, beta=0.0), search(make_run, beta=0.0, num_runs=2)
    assert len(twice["raw_losses"]) == 2
    assert twice["raw_losses"][0] == once["raw_losses"][0]
    assert twice["raw_losses"][1] != once["raw_losses"][0], "other text"
    means = [(a + b) / 2 for a, b in zip(*twice["raw_losses"], strict=False)]
    assert twice["losses"] == pytest.approx(means)


@pytest.mark.honours("training.lr_finder.suggestion_method")
def test_the_method(make_run: MakeRun) -> None:
    suggestions = found_by = {
        method: search(make_run, suggestion_method=method)["suggestion"]
        for method in ("steepest", "minimum", "valley", "combined")
    }
    assert len(set(suggestions.values())) > 1
    assert search(make_run)["suggestions"] == found_by


@pytest.mark.honours("training.lr_finder.track_validation")
def test_the_held_out_text(make_run: MakeRun) -> None:
    assert search(make_run)["validation_losses"] is None
    tracked = search(make_run, track_validation=True)
    assert len(tracked["validation_losses"][0]) in (tracked["steps"], tracked["steps"] - 1)


@pytest.mark.honours("training.lr_finder.momentum_cycling")
def test_momentum_falls_and_comes_back(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(
        **QUIET, training={"lr_finder": {**SEARCH, "momentum_cycling": True, "num_iterations": 5,
                                         "end_lr": 1e-3}}
    )  # fmt: skip
    session = open_session(run, 1, StopSignals())
    seen: list[float] = []
    update = session.engine.update

    def spy(**options: Any) -> None:
        seen.append(session.engine.optimizer.param_groups[0]["betas"][0])
        update(**options)

    monkeypatch.setattr(session.engine, "update", spy)
    lr_finder.search_learning_rate(session)
    session.close()
    assert seen == pytest.approx([0.9, 0.8875, 0.875, 0.8625, 0.85])
    assert session.engine.optimizer.param_groups[0]["betas"] == (0.9, 0.95)


@pytest.mark.honours("training.lr_finder.plot_path")
def test_the_picture_goes_where_it_is_told(make_run: MakeRun, tmp_path: Path) -> None:
    place = tmp_path / "pictures" / "search.png"
    search(make_run, plot_path=str(place), num_iterations=3)
    assert place.read_bytes().startswith(b"\x89PNG")
    search(make_run, plot_path="/proc/nowhere/search.png", num_iterations=3)
