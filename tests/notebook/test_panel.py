"""The panel on a recording wire: edits in, verdicts out; a real training launched and followed."""

from __future__ import annotations

import json
import os
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import MINI
from tests.tui.rundirs import finish, hold, make_run
from workbench.notebook import ConfigForm, LossCurve, MemoryMeter, RunTable, Workbench
from workbench.runs.control import stop, wait_for_end, wait_for_start
from workbench.runs.directory import open_run
from workbench.runs.writer import MetricWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.notebook.conftest import Wire
    from workbench.notebook.base import Piece

    Look = Callable[[Piece, int], None]


def wait_for_work() -> None:
    """Until no widget does anything slow."""
    for each in threading.enumerate():
        if each.name.endswith(" work"):
            each.join(120)


# ---------------------------------------------------------------- opening


def test_a_view_is_told_everything(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    assert wire.sent == []
    kinds = [each.content["type"] for each in wire.say(panel, "ready")]
    assert kinds == ["pickers", "lines", "plan", "curve", "log", "runs"]
    rows = [row["path"] for each in wire.last("lines")["sections"] for row in each["rows"]]
    assert "training.batch_size" in rows
    assert rows == list(wire.last("plan")["values"])
    recipes = [item["name"] for group in wire.last("pickers")["recipes"] for item in group["items"]]
    assert len(recipes) == len(set(recipes)) > 20
    assert [each.content["rev"] for each in wire.sent] == list(range(1, 7))


def test_two_greetings_are_answered(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    assert [each.content["type"] for each in wire.say(panel, "hello")] == ["hello"]
    assert wire.say(panel, "hello", view="other")[0].content["to"] == "other"


@pytest.mark.parametrize("asked", [{}, {"type": 3}, {"type": "nothing"}, {"type": "stop"},
                                   {"type": "explain", "path": "no.such"}, {"type": "launch"},
                                   {"type": "edit", "path": "no.such", "text": "1"},
                                   {"type": "recipe", "name": "no such"},
                                   {"type": "window", "ends": "x"},
                                   {"type": "zoom", "by": "x"}])  # fmt: skip
def test_no_message_ends_it(wire: Wire, still: Look, asked: dict[str, Any]) -> None:
    panel = Workbench("tiny_cpu", max_steps=0)  # an error, so that nothing is launched
    panel._handle_custom_msg(asked, [])
    assert "Traceback" not in json.dumps([each.content for each in wire.sent])
    assert wire.say(panel, "ready")


# ---------------------------------------------------------------- edits


def test_an_edit_changes_everything_that_follows(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    wire.say(panel, "ready")
    before = wire.last("plan")
    wire.say(panel, "edit", path="training.batch_size", text="64", focus=1)
    plan = wire.last("plan")
    assert (
        plan["values"]["training.batch_size"] | {"was": "8", "edited": True}
        == (plan["values"]["training.batch_size"])
    )
    assert plan["equation"]["words"].startswith("64 sequences × 1 accumulation")
    assert plan["meter"]["value"] > before["meter"]["value"]
    assert plan["meter"]["delta"].startswith("↑")
    assert plan["equation"]["kept"] == "8"


def test_all_of_one_visit_is_one_step_of_undo(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    for text in ("6", "64", "640"):
        wire.say(panel, "edit", path="training.batch_size", text=text, focus=1)
    wire.say(panel, "edit", path="training.max_steps", text="7", focus=2)
    assert panel.draft.undoable == ["training.batch_size = 640", "training.max_steps = 7"]
    wire.say(panel, "undo")
    wire.say(panel, "undo")
    assert panel.draft.value("training.batch_size") == 8
    wire.say(panel, "redo")
    assert panel.draft.value("training.batch_size") == 640


def test_typing_goes_on_beside_another_edit(wire: Wire, still: Look) -> None:
    """An edit of another view in between is never taken for the one that is typed."""
    panel = Workbench("tiny_cpu")
    wire.say(panel, "edit", path="training.batch_size", text="6", focus=1)
    wire.say(panel, "edit", view="other", path="training.max_steps", text="7", focus=1)
    wire.say(panel, "edit", path="training.batch_size", text="64", focus=1)
    assert panel.draft.value("training.max_steps") == 7
    assert len(panel.draft.undoable) == 3


def test_half_a_value_is_said_at_its_key(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    wire.say(panel, "edit", path="data.fallback_paths", text="[a,", focus=1)
    assert wire.last("trouble")["about"] == "data.fallback_paths"
    assert panel.draft.edits == {}


def test_a_value_that_is_none_stops_the_launch(wire: Wire, still: Look, folder: Path) -> None:
    panel = Workbench("tiny_cpu")
    wire.say(panel, "edit", path="training.batch_size", text="many", focus=1)
    plan = wire.last("plan")
    assert plan["ready"] is False
    assert "batch_size" in plan["why"]
    assert plan["meter"]["known"] is False
    assert plan["values"] == {} or plan["values"]["training.batch_size"]["worst"] == "error"
    wire.say(panel, "launch")
    assert "batch_size" in wire.last("trouble")["text"]
    assert not (folder / "runs").exists()


def test_a_repair_is_one_click(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu", num_attention_heads=3, head_dim="null")
    wire.say(panel, "ready")
    fixes = [fix for each in wire.last("plan")["findings"] for fix in each["fixes"]]
    errors = [each for each in wire.last("plan")["findings"] if each["severity"] == "error"]
    assert errors
    wire.say(panel, "fix", name=fixes[0]["name"])
    assert panel.draft.undoable == [fixes[0]["title"]]
    assert wire.say(panel, "fix", name=fixes[0]["name"] + "x")[0].content["type"] == "plan"


def test_a_plan_that_fits_is_found_and_taken(wire: Wire, still: Look) -> None:
    wide = {"hidden_size": 4096, "num_layers": 32, "batch_size": 64}
    panel = Workbench("tiny_cpu", **wide, hardware="rtx_4090")
    wire.say(panel, "fit")
    offers = wire.last("offers")["offers"]
    assert all(offer["words"] and offer["notes"] for offer in offers)
    steps = len(panel.draft.undoable)
    wire.say(panel, "use", number=0)
    assert wire.last("plan")["meter"]["fits"] is True
    assert panel.draft.undoable[steps:] == [offers[0]["words"]]
    wire.say(panel, "use", number=1)
    assert "before the last edit" in wire.last("trouble")["text"]
    assert len(panel.draft.undoable) == steps + 1


def test_the_global_batch_is_kept(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    wire.say(panel, "edit", path="training.batch_size", text="2", focus=1)
    wire.say(panel, "keep")
    assert panel.draft.config is not None
    assert panel.draft.config.training.gradient_accumulation_steps == 4
    wire.say(panel, "edit", path="training.batch_size", text="7", focus=2)
    wire.say(panel, "keep")
    assert "do not divide" in wire.last("trouble")["text"]


def test_what_does_not_fit_is_said_in_words(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu", hardware="t4", batch_size=100_000)
    wire.say(panel, "ready")
    meter = wire.last("plan")["meter"]
    assert meter["fits"] is False
    assert "does not fit" in meter["spoken"]
    assert meter["border"] < 1
    assert sum(part["share"] for part in meter["parts"]) == pytest.approx(1)
    assert meter["parts"][-1]["name"] == "process"
    wire.say(panel, "hardware", name="")
    assert wire.last("plan")["hardware"] == ""


def test_a_search_finds_meanings_and_the_rest_stays_out(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    wire.say(panel, "search", words="learning rate")
    listed = wire.last("lines")
    rows = [row["path"] for each in listed["sections"] for row in each["rows"]]
    assert "training.learning_rate" in rows
    assert listed["found"] == len(rows) + listed["left"]
    wire.say(panel, "search", words="")
    wire.say(panel, "everything", on=True)
    assert [each["rows"] for each in wire.last("lines")["sections"]] == [[]] * 49
    wire.say(panel, "section", path="training", on=True)
    assert [each["path"] for each in wire.last("lines")["sections"] if each["rows"]] == ["training"]
    assert {path.split(".")[0] for path in wire.last("plan")["values"]} == {"training"}


def test_help_goes_to_the_view_that_asks(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    (told,) = wire.say(panel, "explain", path="training.learning_rate", view="b")
    assert told.content["to"] == "b"
    assert told.content["meaning"]
    value, place = told.content["origins"][0]
    assert float(value) == panel.draft.value("training.learning_rate")
    assert re.fullmatch(r".+\.yaml:\d+", place)


def test_another_recipe_drops_no_edit_without_asking(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    wire.say(panel, "edit", path="training.max_steps", text="7", focus=1)
    wire.say(panel, "recipe", name="tiny_moe_cpu")
    assert panel.draft.edits == {"training.max_steps": 7}
    then = wire.last("ask")["then"]
    wire.say(panel, then.pop("type"), **then)
    assert wire.last("plan")["recipe"] == "tiny_moe_cpu"
    assert panel.draft.edits == {}


def test_saving_never_overwrites(wire: Wire, still: Look, folder: Path) -> None:
    panel = Workbench("tiny_cpu", max_steps=7)
    wire.say(panel, "save", path="mine")
    text = (folder / "mine.yaml").read_text()
    assert "max_steps: 7" in text
    wire.say(panel, "save", path="mine.yaml")
    assert "already" in wire.last("trouble")["text"]
    assert (folder / "mine.yaml").read_text() == text
    assert Workbench(str(folder / "mine.yaml")).draft.value("training.max_steps") == 7


# ---------------------------------------------------------------- order, views, widgets


def test_verdicts_say_which_edit_they_are_about(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    wire.say(panel, "edit", path="training.batch_size", text="2", focus=1)
    wire.say(panel, "edit", view="other", path="training.batch_size", text="3", focus=1)
    assert wire.last("plan")["seqs"] == {"view": 1, "other": 2}
    revisions = [each.content["rev"] for each in wire.sent]
    assert revisions == sorted(set(revisions))


def test_messages_out_of_order_do_not_turn_the_count_back(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    for seq, text in ((5, "5"), (4, "4")):
        panel._handle_custom_msg({"type": "edit", "view": "v", "seq": seq, "focus": 1,
                                  "path": "training.max_steps", "text": text}, [])  # fmt: skip
    assert wire.last("plan")["seqs"] == {"v": 5}


def test_edits_of_a_cell_and_of_another_widget_are_seen(wire: Wire, still: Look) -> None:
    form = ConfigForm("tiny_cpu")
    meter = MemoryMeter(form.draft)
    assert meter.draft is form.draft
    wire.say(form, "ready")
    wire.say(meter, "ready")
    wire.say(form, "edit", path="training.batch_size", text="64", focus=1)
    before = len(wire.sent)
    still(meter, 1)
    assert [each.content["type"] for each in wire.sent[before:]] == ["plan"]
    assert wire.last("plan")["equation"]["words"].startswith("64")
    form.draft.set("training.batch_size", "8")
    still(form, 1)
    still(meter, 2)
    assert [each.content["equation"]["words"][0] for each in wire.of("plan")[-2:]] == ["8", "8"]
    before = len(wire.sent)
    still(meter, 3)
    assert len(wire.sent) == before


def test_closing_ends_the_thread(wire: Wire) -> None:
    panel = Workbench("tiny_cpu")
    thread = panel._ticker
    assert thread is not None
    assert thread.is_alive()
    wire.say(panel, "ready")
    panel.close()
    thread.join(20)
    assert not thread.is_alive()


def test_nobody_is_told_when_nobody_looks(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu")
    wire.say(panel, "ready", view="a")
    wire.say(panel, "ready", view="b")
    wire.say(panel, "bye", view="a")
    assert panel._wake.is_set()
    wire.say(panel, "bye", view="b")
    assert not panel._wake.is_set()


# ---------------------------------------------------------------- runs


def test_it_attaches_to_the_live_run(wire: Wire, still: Look, folder: Path) -> None:
    make_run(folder / "runs", "newest")
    live = make_run(folder / "runs", "live", steps=50)
    finish(open_run(folder / "runs", "newest"))
    lock = hold(live)
    try:
        panel = Workbench("tiny_cpu")
        assert panel.run is not None
        assert panel.run.name == "live"
        wire.say(panel, "ready")
        assert wire.last("curve")["lines"][0]["total"] == 50
        assert wire.last("runs")["shown"] == ["live"]
        metrics = MetricWriter(live.metrics_path(1))
        metrics.write({"step": 51, "t": 1_700_000_051.0, "loss": 1.25})
        metrics.close()
        still(panel, 1)
        points = wire.of("points")[-1]
        assert [list(each) for each in points.arrays()[:2]] == [[51.0], [1.25]]
        assert points.content["facts"]["step"] == 51
    finally:
        os.close(lock)


def test_two_panels_follow_one_run(wire: Wire, still: Look, folder: Path) -> None:
    make_run(folder / "runs", "r")
    first, second = Workbench("tiny_cpu"), Workbench("tiny_cpu")
    for panel in (first, second):
        wire.say(panel, "ready")
    curves = wire.of("curve")
    assert [each.content["lines"] for each in curves[:1]] == [curves[1].content["lines"]]
    assert first.draft is not second.draft


def test_chosen_runs_lie_over_each_other(wire: Wire, still: Look, folder: Path) -> None:
    for seed, name in enumerate("abc"):
        make_run(folder / "runs", name, seed=seed)
    table = RunTable("runs")
    wire.say(table, "ready")
    assert [row["name"] for row in wire.last("runs")["rows"]] == ["c", "b", "a"]
    wire.say(table, "follow", runs=["a", "c"])
    curve = wire.last("curve")
    assert [(line["run"], line["role"]) for line in curve["lines"]] == [("c", "run"), ("a", "run")]
    wire.say(table, "compare")
    assert [row[0] for row in wire.last("compared")["rows"]] == ["a", "c"]
    wire.say(table, "follow", runs=["gone"])
    assert "there is no run gone" in wire.last("trouble")["text"]


def test_a_plan_for_other_hardware_is_launched_after_a_question(wire: Wire, still: Look) -> None:
    panel = Workbench("tiny_cpu", hardware="h100_80gb")
    wire.say(panel, "launch", name="x")
    assert "H100" in wire.last("ask")["words"]
    assert wire.last("ask")["then"] == {"type": "launch", "name": "x", "sure": True}
    assert panel.run is None


def test_a_real_run_is_launched_followed_and_stopped(wire: Wire, still: Look, folder: Path) -> None:
    panel = Workbench("lesson", **MINI, max_steps=200_000, eval_steps=200_000, save_steps=200_000)
    wire.say(panel, "ready")
    wire.say(panel, "launch", name="first")
    assert wire.last("starting")["on"] is True
    wait_for_work()
    run = open_run(folder / "runs", "first")
    assert panel.run is not None
    assert panel.run.path.samefile(run.path)
    assert wait_for_start(run, 120).state == "running"
    still(panel, 10)
    assert wire.last("rows" if wire.of("rows") else "runs")["rows"][0]["state"] == "running"
    wire.say(panel, "stop", run="first")
    assert wait_for_end(run, 60).state == "stopped"
    still(panel, 20)
    facts = [each for each in wire.sent if "facts" in each.content][-1].content["facts"]
    assert facts["state"] == "stopped"
    assert run.meta()["command"][:3] == ["ava", "train", "lesson"]
    # Another panel, as after a restart of the kernel, knows it.
    again = Workbench("lesson")
    assert again.run is not None
    assert again.run.name == "first"


@pytest.mark.slow
def test_a_stopped_run_goes_on(wire: Wire, still: Look, folder: Path) -> None:
    panel = Workbench("lesson", **MINI, max_steps=200_000, eval_steps=200_000, save_steps=200_000)
    run = panel.launch("first")
    assert wait_for_start(run, 120).state == "running"
    panel.stop()
    assert wait_for_end(run, 60).state == "stopped"
    before = run.attempts()
    wire.say(panel, "resume", run="first")
    wait_for_work()
    assert wait_for_start(run, 120).alive
    stop(run, now=True)
    assert not wait_for_end(run, 60).alive
    assert len(run.attempts()) == len(before) + 1


def test_a_curve_needs_a_run_that_is_there(wire: Wire, still: Look, folder: Path) -> None:
    from workbench.errors import WorkbenchError

    with pytest.raises(WorkbenchError, match="there is no run"):
        LossCurve("nothing")
    run = make_run(folder / "runs", "r")
    curve = LossCurve(run, metric="grad_norm", smoothing=0.79, log=True)
    wire.say(curve, "ready")
    shown = wire.last("curve")
    assert (shown["metric"], shown["weights"][shown["smoothing"]], shown["log"]) == (
        "grad_norm",
        0.8,
        True,
    )
