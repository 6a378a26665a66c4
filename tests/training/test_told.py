"""What is measured and told: rows with units, levels, smoothing, TensorBoard and W&B."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.training.helpers import MakeRun, curve, events
from workbench.config.schema import Config, ModelConfig
from workbench.models.build import build_model
from workbench.runs.directory import RunDir
from workbench.runs.metric_names import METRICS, describe
from workbench.training import loop, metrics
from workbench.training.session import Session, open_session
from workbench.training.stop import StopSignals
from workbench.training.writers import Writer, open_writers

pytestmark = pytest.mark.usefixtures("in_process")

EXPERTS = {"num_experts": 4, "num_experts_per_token": 2}


def attempt(run: RunDir) -> Session:
    session = open_session(run, 1, StopSignals())
    try:
        loop.train(session)
    finally:
        session.close()
    return session


def table(run: RunDir) -> list[dict[str, Any]]:
    lines = run.metrics_path(1).read_text().splitlines()
    return [json.loads(line.partition("\t")[0]) for line in lines]


def test_every_column_has_a_name_and_a_unit(make_run: MakeRun) -> None:
    run = make_run(
        model=EXPERTS,
        training={"use_ema": True, "losses": {"focal_loss": True}, "mtp": {"enabled": False}},
        logging={"wall_clock_breakdown": True, "memory_breakdown": True},
        evaluation={"moe_metrics": {"track_load_balance": True, "track_expert_utilization": True}},
    )
    attempt(run)
    names = {name for row in table(run) for name in row}
    assert {name for name in names if describe(name) is None} == set()
    assert describe("nonsense") is None
    assert describe("loss_ahead_2") is not None
    for metric in METRICS.values():
        assert metric.meaning.endswith((".", ")."))
    row = table(run)[0]
    assert 0 <= row["data_wait_s"] < row["step_s"]
    assert row["memory_host"] > 50 * 2**20
    assert 0 <= row["dead_experts"] < 8
    assert "mfu" not in row, "nobody knows the peak of this CPU"


@pytest.mark.honours("logging.wall_clock_breakdown", "logging.memory_breakdown")
def test_parts_of_a_step(make_run: MakeRun) -> None:
    run = make_run(logging={"wall_clock_breakdown": True, "memory_breakdown": True})
    attempt(run)
    for row in table(run):
        if "loss" in row:
            parts = row["data_wait_s"] + row["gradient_s"] + row["update_s"]
            assert 0 < parts <= row["step_s"] * 1.001
            assert row["memory_after_gradient"] > 0
            assert row["memory_after_update"] > 0
    plain = make_run()
    attempt(plain)
    assert not {"gradient_s", "update_s", "memory_after_update"} & set(table(plain)[0])


@pytest.mark.honours(
    "evaluation.moe_metrics.track_load_balance",
    "evaluation.moe_metrics.track_expert_utilization",
    "evaluation.moe_metrics.log_frequency",
)
def test_what_the_experts_did(make_run: MakeRun) -> None:
    def columns(**keys: Any) -> list[set[str]]:
        run = make_run(model=EXPERTS, evaluation={"moe_metrics": keys, "max_new_tokens": 0})
        attempt(run)
        return [
            {name for name in row if name.startswith(("expert_share", "experts_used"))}
            for row in table(run)
            if "loss" in row
        ]

    shares = {f"expert_share_{e}" for e in range(4)}
    assert columns() == [set()] * 6
    assert columns(track_load_balance=True)[:2] == [shares, set()]
    assert columns(track_load_balance=True, log_frequency=1) == [shares] * 6
    assert columns(track_expert_utilization=True, log_frequency=3) == [
        {"experts_used"} if step in (1, 3, 6) else set() for step in range(1, 7)
    ]


def test_flops_are_those_of_the_formula() -> None:
    shape: dict[str, Any] = {
        "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "vocab_size": 100, "tie_word_embeddings": False,
    }  # fmt: skip
    with torch.device("meta"):
        dense = build_model(ModelConfig(**shape))
        tied = build_model(ModelConfig(**(shape | {"tie_word_embeddings": True})))
        moe = build_model(ModelConfig(**shape, num_experts=4, num_experts_per_token=2))
    attention, feed_forward, head = 4 * 16 * 16, 3 * 16 * 32, 100 * 16
    expected = 6 * (2 * (attention + feed_forward) + head) + 12 * 2 * 16 * 8
    assert metrics.flops_per_token(dense, 8) == expected
    assert metrics.flops_per_token(tied, 8) == expected
    router = 4 * 16
    expected = 6 * (2 * (attention + 2 * feed_forward + router) + head) + 12 * 2 * 16 * 8
    assert metrics.flops_per_token(moe, 8) == expected


def test_mfu_is_flops_over_the_peak_of_all_devices() -> None:
    with torch.device("meta"):
        model = build_model(ModelConfig())
    meter = metrics.StepMeter(Config(), model, torch.device("cpu"), devices=2, peak_flops=1e12)
    measured: Any = SimpleNamespace(counts_LE=None)
    meter.begin()
    row = meter.row(1, measured, tokens=1000, seconds=0.5)
    assert row["mfu"] == pytest.approx(1000 * meter.flops_per_token / 0.5 / 2e12)
    assert metrics.peak_flops(Config(), torch.device("cpu"), "fp32") is None


def test_the_peak_of_a_known_card(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(devices=[SimpleNamespace(profile="h100_80gb")])
    monkeypatch.setattr("workbench.hardware.detect.detect", lambda: found)
    cuda = torch.device("cuda", 0)
    assert metrics.peak_flops(Config(), cuda, "bf16") == pytest.approx(989.4e12)
    assert metrics.peak_flops(Config(), cuda, "nonsense") is None
    found.devices = []
    assert metrics.peak_flops(Config(), cuda, "bf16") is None
    named = Config.model_validate({"run": {"hardware": "a100_80gb"}})
    assert metrics.peak_flops(named, cuda, "bf16") == pytest.approx(312e12, rel=0.01)


@pytest.mark.honours("logging.level")
@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", "ime"), ("info", "ime"), ("warning", "me"), ("error", "e")],
)
def test_levels(make_run: MakeRun, level: str, heard: str) -> None:
    session = open_session(make_run(logging={"level": level}), 1, StopSignals())
    session.report.line("i", "info")
    session.report.line("m", "warning")
    session.report.line("e", "error")
    session.close()
    said = [line.split()[-1] for line in session.run.log_path.read_text().splitlines()]
    assert "".join(word for word in said if len(word) == 1 and word in "ime") == heard


@pytest.mark.honours("logging.loss_smoothing")
def test_smoothing_is_in_the_summary(make_run: MakeRun) -> None:
    raw = make_run(logging={"loss_smoothing": 0.0})
    attempt(raw)
    assert json.loads(raw.summary_path.read_text())["loss"] == curve(raw)["loss"][-1][1]
    smooth = make_run(logging={"loss_smoothing": 0.5})
    attempt(smooth)
    losses = [value for _, value in curve(smooth)["loss"]]
    average = sum(0.5 ** (6 - n) * loss for n, loss in enumerate(losses)) / (1 - 0.5**6)
    assert json.loads(smooth.summary_path.read_text())["loss"] == pytest.approx(average)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.honours("logging.tensorboard.enabled", "logging.tensorboard.log_dir")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_tensorboard_has_every_number(
    make_run: MakeRun, tmp_path: Path, *, elsewhere: bool
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    section: dict[str, Any] = {"enabled": True}
    if elsewhere:
        section["log_dir"] = str(tmp_path)
    run = make_run(logging={"tensorboard": section})
    attempt(run)
    folder = tmp_path / run.name if elsewhere else run.path / "tensorboard"
    found: Any = EventAccumulator(str(folder))
    found.Reload()
    for name in ("loss", "lr", "val_loss", "memory_host"):
        theirs = [(each.step, each.value) for each in found.Scalars(name)]
        ours = [(row["step"], row[name]) for row in table(run) if name in row]
        assert [step for step, _ in theirs] == [step for step, _ in ours]
        assert [v for _, v in theirs] == pytest.approx([v for _, v in ours], rel=1e-6)
    assert not events(run, 1, "writer_failed")
    plain = make_run()
    attempt(plain)
    assert not (plain.path / "tensorboard").exists()


class FakeWandb:
    """What we use of wandb's interface, without a network."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.finished = False

    def init(self, **asked: Any) -> FakeWandb:
        self.asked = asked
        return self

    def log(self, row: dict[str, Any], step: int) -> None:
        self.rows.append((step, row))

    def finish(self) -> None:
        self.finished = True


@pytest.mark.honours(
    "logging.wandb.enabled",
    "logging.wandb.offline",
    "logging.wandb.log_freq",
    "logging.wandb.resume_policy",
    "logging.wandb.save_code",
    "logging.wandb.project",
)
def test_wandb_gets_what_was_asked_for(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    section = {
        "enabled": True, "offline": True, "log_freq": 2, "resume_policy": "must",
        "save_code": True, "project": "tiny", "tags": ["a"],
    }  # fmt: skip
    run = make_run(logging={"wandb": section})
    attempt(run)
    assert [step for step, row in wandb.rows if "loss" in row] == [2, 4, 6]
    assert [step for step, row in wandb.rows if "val_loss" in row] == [3, 6]
    assert wandb.finished
    asked = wandb.asked
    assert (asked["mode"], asked["resume"], asked["save_code"]) == ("offline", "must", True)
    assert (asked["project"], asked["name"], asked["tags"]) == ("tiny", run.name, ["a"])
    assert asked["config"]["training"]["batch_size"] == 2
    other = make_run(logging={"wandb": {"enabled": True, "log_freq": 1}})
    attempt(other)
    assert wandb.asked["mode"] == "online"
    assert wandb.asked["id"] != asked["id"]


@pytest.mark.parametrize("trouble", ["missing", "init", "log"])
def test_a_service_that_fails_stops_nothing(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def broken(*_args: Any, **_kwargs: Any) -> None:
        raise ConnectionError("no network")

    wandb: Any = None if trouble == "missing" else FakeWandb()
    if trouble != "missing":
        setattr(wandb, trouble, broken)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    run = make_run(logging={"wandb": {"enabled": True, "log_freq": 1}})
    session = attempt(run)
    assert session.progress.step == 6
    (event,) = events(run, 1, "writer_failed")
    assert ("not installed" if trouble == "missing" else "no network") in event["why"]


class Sink:
    """Takes rows when it is let."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.rows: list[int] = []

    def open(self) -> None:
        self.go.wait(120)

    def write(self, row: dict[str, Any]) -> None:
        self.rows.append(row["step"])

    def close(self) -> None:
        pass


def test_a_slow_service_loses_its_oldest_rows_and_no_time() -> None:
    sink, said = Sink(), []
    writer = Writer("it", sink, said.append, capacity=3)
    for step in range(10):
        writer.write({"step": step})
    assert writer.lost == 7
    sink.go.set()
    writer.close()
    assert sink.rows == [7, 8, 9]
    assert not said


@pytest.mark.honours("logging.wandb.cache_size")
@pytest.mark.parametrize("size", [3, 5])
def test_so_many_rows_wait_for_wandb(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    wandb, answers = FakeWandb(), threading.Event()

    def slow(**_asked: Any) -> FakeWandb:
        answers.wait(30)
        return wandb

    monkeypatch.setattr(wandb, "init", slow)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    section = {"enabled": True, "cache_size": size, "log_freq": 1}
    config = Config.model_validate({"logging": {"wandb": section}})
    (writer,) = open_writers(config, make_run(), lambda _: None)
    for step in range(10):
        writer.write({"step": step})
    answers.set()
    writer.close()
    assert [step for step, _ in wandb.rows] == list(range(10))[-size:]


def test_a_service_that_hangs_is_left_alone() -> None:
    sink, said = Sink(), []
    writer = Writer("it", sink, said.append)
    writer.write({"step": 1})
    writer.close(patience=0.05)
    assert said == ["it does not answer; its last rows may be missing there"]
    sink.go.set()


def test_a_row_is_cheap_for_the_training() -> None:
    """The queue's cost is printed, not asserted: machines differ."""
    sink = Sink()
    writer = Writer("it", sink, print, capacity=2000)
    row = {"step": 1, "t": 0.0, "loss": 1.0}
    began = time.perf_counter()
    for _ in range(1000):
        writer.write(row)
    print(f"{(time.perf_counter() - began) * 1e3:.2f} us per row")
    sink.go.set()
    writer.close()
    assert len(sink.rows) == 1000
