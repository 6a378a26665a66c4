"""The editing session that the faces share."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from workbench.config.findings import Edit, Fix
from workbench.config.keys import keys
from workbench.draft import Draft
from workbench.errors import ConfigError, UsageError
from workbench.plan import plan_from


def tiny() -> Draft:
    """A draft of a shipped recipe."""
    return Draft(plan_from("tiny_cpu"))


def test_an_edit_is_seen_at_once_with_its_origin() -> None:
    draft = tiny()
    draft.set("batch_size", "3")
    assert draft.value("training.batch_size") == 3
    origin = draft.plan.composed.origins["training.batch_size"]
    assert origin.layer == "edits"
    assert origin.shadowed
    (change,) = draft.diff()
    assert (change.path, change.after) == ("training.batch_size", 3)


def test_a_wrong_value_is_a_finding_and_no_exception() -> None:
    draft = tiny()
    draft.set("training.batch_size", "many")
    assert draft.config is None
    assert draft.estimate is None
    assert draft.findings[0].path == "training.batch_size"
    assert draft.value("training.batch_size") == "many"
    assert draft.diff() == []
    draft.undo()
    assert draft.config is not None


def test_an_unknown_key_is_refused_with_the_next_one() -> None:
    with pytest.raises(UsageError) as error:
        tiny().set("training.learnin_rate", "1")
    assert "learning_rate" in error.value.render()


def test_two_hundred_edits_are_undone_and_done_again() -> None:
    draft, rng = tiny(), random.Random(3)
    paths = [path for path, key in keys().items() if key.type == "integer"]
    trees = [draft.plan.composed.tree]
    for number in range(200):
        draft.set(rng.choice(paths), str(1000 + number))
        trees.append(draft.plan.composed.tree)
    for tree in reversed(trees[:-1]):
        assert draft.undo() is not None
        assert draft.plan.composed.tree == tree
    assert draft.undo() is None
    for tree in trees[1:]:
        draft.redo()
        assert draft.plan.composed.tree == tree
    assert draft.redo() is None


def test_an_edit_that_changes_nothing_is_no_step() -> None:
    draft = tiny()
    draft.set("batch_size", "3")
    draft.set("batch_size", "3")
    assert len(draft.undoable) == 1


def test_a_new_edit_forgets_what_was_undone() -> None:
    draft = tiny()
    draft.set("batch_size", "3")
    _ = draft.plan
    draft.undo()
    draft.set("batch_size", "4")
    assert draft.redoable == []
    assert draft.value("training.batch_size") == 4


def test_a_repair_is_one_step() -> None:
    draft = tiny()
    fix = Fix("both", (Edit("training.batch_size", 2), Edit("training.seed", remove=True)))
    draft.apply(fix)
    assert draft.value("training.batch_size") == 2
    assert draft.undo() == "both"
    assert draft.diff() == []


def test_every_repair_of_a_shipped_mistake_applies(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training:\n  learnin_rate: 3.0e-4\n  batch_sise: 4\n")
    draft = Draft(plan_from(layers=["gpu/tiny", str(file)]))
    for _ in range(10):
        fixes = [f.fixes[0] for f in draft.findings if f.severity == "error" and f.fixes]
        if not fixes:
            break
        draft.apply(fixes[0])
    assert not [f for f in draft.findings if f.severity == "error"]
    assert draft.value("training.batch_size") == 4
    with pytest.raises(ConfigError) as error:
        draft.text()
    assert str(file) in error.value.render()


def test_what_was_set_is_taken_back() -> None:
    draft = tiny()
    before = draft.value("training.batch_size")
    draft.set("training.batch_size", "3")
    draft.reset("training.batch_size")
    assert draft.value("training.batch_size") == before
    assert not draft.edits


def test_the_global_batch_is_kept_or_the_reason_said() -> None:
    draft = Draft(plan_from(layers=["gpu/tiny"], overrides={"batch_size": "8"}))
    draft.set("batch_size", "2")
    assert draft.keep_global_batch() is None
    assert draft.value("training.gradient_accumulation_steps") == 4
    draft.set("batch_size", "3")
    assert "do not divide" in str(draft.keep_global_batch())


@pytest.mark.parametrize("recipe", ["tiny_cpu", "tiny_moe_cpu", "production", "code_translator"])
def test_a_saved_draft_loads_as_the_same_plan(recipe: str, tmp_path: Path) -> None:
    draft = Draft(plan_from(recipe))
    draft.add_layer("hardware/a100_80gb")
    draft.set("learning_rate", "3e-4")
    draft.set("data.tokenizer_name", "")
    draft.edit((Edit("training.max_steps", remove=True),))
    file = tmp_path / "folder" / "saved.yaml"
    draft.save(file)
    loaded = plan_from(layers=[str(file)])
    assert loaded.typed == draft.config
    with pytest.raises(ConfigError, match="already"):
        draft.save(file)
    draft.save(file, overwrite=True)


@pytest.mark.parametrize("recipe", ["tiny_cpu", "production"])
def test_the_command_line_says_the_same_plan(recipe: str) -> None:
    from workbench.cli.options import parse

    draft = Draft(plan_from(recipe))
    draft.add_layer("hardware/a100_80gb")
    draft.set("learning_rate", "3e-4")
    draft.set("mixed_precision", "no")
    draft.set("lora.target_modules", "q_proj,v_proj")
    options = parse(draft.command()[2:])
    same = plan_from(options.recipe, layers=options.layers, overrides=options.overrides)
    assert same.typed == draft.config


def test_a_file_of_the_users_own_is_extended_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: gpu/tiny\ntraining:\n  batch_size: 4\n")
    draft = Draft(plan_from(layers=[str(file)]))
    draft.set("learning_rate", "3e-4")
    assert f"extends: [{file}]" in draft.text()
    assert draft.text().count("batch_size") == 0
