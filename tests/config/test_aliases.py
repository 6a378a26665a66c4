"""Several spellings of one fact are one key; the origin remembers which was used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from workbench.config.aliases import CONVERTED, SAME, SECTIONS
from workbench.config.checking import validate
from workbench.config.keys import keys, sections
from workbench.config.layers import Layer, compose
from workbench.config.overrides import layer as typed
from workbench.config.overrides import resolve_key
from workbench.config.retired import RETIRED
from workbench.config.rules import Subject, check
from workbench.config.spelling import alias_sections, retired, spellings, table
from workbench.errors import UsageError

AVA = Path("/work/shared/upstream/ava/code/configs")


def file(tree: dict[str, Any], name: str = "my.yaml") -> Layer:
    return Layer(name, tree, name)


def nest(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def composed_value(path: str, *layers: Layer) -> Any:
    value: Any = compose(list(layers)).tree
    for name in path.split("."):
        value = value[name]
    return value


def findings(*layers: Layer) -> dict[str, str]:
    composed = compose(list(layers))
    config, found = validate(composed)
    if config is not None:
        found = check(Subject(config, composed.origins))
    return {finding.rule: finding.message for finding in found}


# ------------------------------------------------------------------------------ the tables


def test_every_alias_means_a_key_and_is_none() -> None:
    for name, means in table().items():
        assert name not in keys()
        assert all(alias.target in keys() for alias in means), name


def test_no_spelling_stands_twice_in_the_tables() -> None:
    names = [*CONVERTED, *(name for same in SAME.values() for name in same)]
    assert len(names) == len(set(names))


def test_every_alias_of_the_design_is_one() -> None:
    for name in (
        "deepspeed.micro_batch_size",
        "data.train_batch_size",
        "deepspeed.train_micro_batch_size_per_gpu",
    ):
        assert name in spellings("training.batch_size")


def test_no_retired_key_is_in_use() -> None:
    for path in RETIRED:
        assert path not in keys()
        assert path not in table()
        assert path.removesuffix(".*") not in sections()


def test_moved_sections_hold_the_keys_of_their_home() -> None:
    for moved, home in SECTIONS:
        assert moved in alias_sections() or moved in sections()
        inside = [path for path in keys() if path.startswith(f"{home}.")]
        inside += [path for path in spellings(home) if path.startswith(f"{home}.")]
        for path in inside:
            assert moved + path.removeprefix(home) in {**keys(), **table()}


def test_every_plain_alias_sets_its_key() -> None:
    for path, names in SAME.items():
        for name in names:
            if name in CONVERTED:
                continue
            composed = compose([file(nest(name, keys()[path].default))])
            assert composed.origins[path].alias == name
            assert composed.origins[path].value == keys()[path].default


@pytest.mark.parametrize(
    "name",
    [
        "gpu/tiny",
        "gpu/base",
        "hardware/a100_80gb",
        "hardware/h100_80gb",
        "distributed/deepspeed_zero1",
        "distributed/deepspeed_zero2",
        "rlhf/test_cpu",
        "research/quantization_nvfp4",
        "test_training",
    ],
)
def test_every_key_of_avas_files_has_a_place(name: str) -> None:
    path = AVA / f"{name}.yaml"
    if not path.exists():
        pytest.skip("the seed systems' files are not on this machine")
    from workbench.config.reading import read_yaml

    text = path.read_text()
    # Three of upstream's own files lack a line break before this key.
    tree = read_yaml(re.sub(r"(false|true|\d)performance:", r"\1\nperformance:", text), name).tree

    def walk(inner: dict[str, Any], prefix: str) -> None:
        for key, value in inner.items():
            here = f"{prefix}{key}"
            if isinstance(value, dict):
                walk(value, f"{here}.")
            else:
                assert here in keys() or here in table() or retired(here), here

    walk(tree, "")


# ------------------------------------------------------------------------------ moving


def test_the_value_moves_and_the_origin_remembers() -> None:
    composed = compose([file({"deepspeed": {"micro_batch_size": 4}})])
    assert composed.tree == {"training": {"batch_size": 4}}
    origin = composed.origins["training.batch_size"]
    assert (origin.alias, origin.value) == ("deepspeed.micro_batch_size", 4)
    assert origin.to_dict()["alias"] == "deepspeed.micro_batch_size"


def test_the_place_in_the_file_is_that_of_the_spelling(tmp_path: Path) -> None:
    from workbench.config.layers import load

    mine = tmp_path / "mine.yaml"
    mine.write_text("wandb:\n  tags: [a]\n  project: mine\n")
    origins = compose(load(str(mine))).origins
    assert origins["logging.wandb.project"].place() == f"{mine}:3"


def test_the_later_layer_wins_whatever_it_calls_the_key() -> None:
    base = file({"training": {"batch_size": 8}}, "base.yaml")
    later = file({"deepspeed": {"micro_batch_size": 4}}, "later.yaml")
    assert composed_value("training.batch_size", base, later) == 4
    assert composed_value("training.batch_size", later, base) == 8


def test_within_a_layer_the_keys_own_spelling_wins() -> None:
    both = file({"training": {"batch_size": 8}, "deepspeed": {"micro_batch_size": 4}})
    composed = compose([both])
    assert composed.tree == {"training": {"batch_size": 8}}
    origin = composed.origins["training.batch_size"]
    assert origin.alias is None
    assert origin.shadowed[0].alias == "deepspeed.micro_batch_size"


def test_a_mapping_is_one_value_and_is_replaced_as_one() -> None:
    base = file({"data": {"mixture": {"web.jsonl": 0.8, "code.jsonl": 0.2}}}, "base.yaml")
    mine = file({"data": {"mixture": {"mine.txt": 1.0}}}, "mine.yaml")
    composed = compose([base, mine])
    assert composed.tree == {"data": {"mixture": {"mine.txt": 1.0}}}
    assert composed.origins["data.mixture"].shadowed[0].layer == "base.yaml"
    assert set(composed.origins) == {"data.mixture"}


def test_a_broken_section_does_not_swallow_an_alias() -> None:
    composed = compose([file({"training": 5, "deepspeed": {"micro_batch_size": 4}})])
    assert composed.tree == {"training": 5}
    _, (finding,) = validate(composed)
    assert finding.rule == "not-a-section"


@pytest.mark.parametrize(
    ("tree", "path", "value"),
    [
        ({"fp16": True}, "training.mixed_precision", "fp16"),
        ({"deepspeed": {"precision": "fp32"}}, "training.mixed_precision", "no"),
        ({"deepspeed": {"bf16": {"enabled": True}}}, "training.mixed_precision", "bf16"),
        ({"deepspeed": {"fp8_enabled": True}}, "training.mixed_precision", "fp8"),
        ({"training": {"adam_betas": [0.8, 0.9]}}, "training.beta2", 0.9),
        ({"deepspeed": {"optimizer": {"type": "OneBitAdam"}}}, "training.optimizer", "onebitadam"),
        (
            {"deepspeed": {"scheduler": {"type": "WarmupDecayLR"}}},
            "training.lr_scheduler_type",
            "linear",
        ),
        ({"model": {"use_alibi": True}}, "model.position_embedding_type", "alibi"),
        ({"model": {"weight_tying": "disabled"}}, "model.tie_word_embeddings", False),
        ({"evaluation": {"eval_during_training": False}}, "training.eval_strategy", "no"),
        ({"evaluation": {"eval_metrics": "loss, bleu"}}, "evaluation.metrics", ["loss", "bleu"]),
        ({"training": {"loss_scaling": "dynamic"}}, "training.loss_scaling.scale", 0.0),
        ({"stability": {"loss_smoothing": False}}, "logging.loss_smoothing", 0.0),
        ({"wandb": {"disable_wandb": True}}, "logging.wandb.enabled", False),
        (
            {"deepspeed": {"zero_optimization": {"offload_param": {"device": "cpu"}}}},
            "deepspeed.offload_param.device",
            "cpu",
        ),
        ({"training": {"deepspeed": {"use_deepspeed": True}}}, "deepspeed.enabled", True),
        (
            {"deepspeed": {"activation_checkpointing": True}},
            "training.gradient_checkpointing",
            True,
        ),
        (
            {"deepspeed": {"activation_checkpointing": {"cpu_checkpointing": True}}},
            "deepspeed.activation_checkpointing.cpu_checkpointing",
            True,
        ),
        ({"training.batch_size": 3}, "training.batch_size", 3),
        ({"deepspeed.offload_param": {"device": "cpu"}}, "deepspeed.offload_param.device", "cpu"),
        ({"data": {"mixture": {"a.txt": 1.0}}}, "data.mixture", {"a.txt": 1.0}),
        ({"data": {"domain_weights": {"a.txt": 1.0}}}, "data.mixture", {"a.txt": 1.0}),
    ],
)
def test_values_are_translated(tree: dict[str, Any], path: str, value: Any) -> None:
    layer = file(tree)
    assert composed_value(path, layer) == value
    assert validate(compose([layer]))[1] == []


def test_a_switch_that_is_off_speaks_for_its_own_word_only() -> None:
    half = file({"training": {"mixed_precision": "fp16"}}, "base.yaml")
    off = file({"fp16": False, "bf16": False}, "off.yaml")
    assert composed_value("training.mixed_precision", half, off) == "no"
    brain = file({"training": {"mixed_precision": "bf16"}}, "base.yaml")
    assert composed_value("training.mixed_precision", brain, file({"fp16": False})) == "bf16"
    assert compose([file({"fp16": False})]).tree == {}


def test_auto_leaves_the_matter_open() -> None:
    auto = file({"deepspeed": {"train_batch_size": "auto", "gradient_clipping": "auto"}})
    assert compose([auto]).tree == {}


@pytest.mark.parametrize("tree", [{"wandb": None}, {"wandb": {}}, {"lr_finder": {}}])
def test_an_empty_section_says_nothing(tree: dict[str, Any]) -> None:
    config, found = validate(compose([file(tree)]))
    assert config is not None
    assert found == []


# ------------------------------------------------------------------------------ findings


def test_a_wrong_value_is_named_as_it_was_written() -> None:
    _, (finding,) = validate(compose([file({"fp16": "sure"})]))
    assert finding.message == (
        "fp16 (another name of training.mixed_precision) must be true or false, not the text 'sure'"
    )
    _, (finding,) = validate(compose([file({"deepspeed": {"micro_batch_size": 0}})]))
    assert "deepspeed.micro_batch_size (another name of training.batch_size)" in finding.message
    assert "a whole number ≥ 1" in finding.message


def test_a_misspelt_alias_is_suggested() -> None:
    _, (finding,) = validate(compose([file({"deepspeed": {"micro_batch_siz": 4}})]))
    assert finding.path == "deepspeed.micro_batch_siz"
    assert finding.fixes[0].title == "did you mean deepspeed.micro_batch_size?"
    _, (finding,) = validate(compose([file({"wandb": {"projct": "a", "name": "b"}})]))
    assert finding.path == "wandb.projct"
    assert finding.fixes[0].title == "did you mean logging.wandb.project?"


def test_a_value_where_a_moved_section_should_be_is_an_error() -> None:
    _, (finding,) = validate(compose([file({"wandb": 5})]))
    assert (finding.rule, finding.severity, finding.path) == ("not-a-section", "error", "wandb")


def test_two_spellings_that_disagree_are_a_finding() -> None:
    base = file({"training": {"batch_size": 8}}, "base.yaml")
    later = file({"deepspeed": {"micro_batch_size": 4}}, "later.yaml")
    message = findings(base, later)["aliases-disagree"]
    assert message == (
        "deepspeed.micro_batch_size says 4 (later.yaml) and training.batch_size says 8 "
        "(base.yaml), but both are training.batch_size: 4 is used"
    )
    both = file({"fp16": True, "training": {"mixed_precision": "bf16"}})
    assert "fp16 says fp16" in findings(both)["aliases-disagree"]
    contradiction = file({"bf16": False, "training": {"mixed_precision": "bf16"}})
    assert 'bf16 says "no"' in findings(contradiction)["aliases-disagree"]


@pytest.mark.parametrize(
    "layers",
    [
        # the same thing twice
        [{"training": {"batch_size": 4}, "data": {"train_batch_size": 4}}],
        # an ordinary override
        [{"training": {"batch_size": 4}}, {"training": {"batch_size": 8}}],
        # the later layer overrides both spellings
        [
            {"training": {"batch_size": 4}, "data": {"train_batch_size": 4}},
            {"training": {"batch_size": 8}, "data": {"train_batch_size": 8}},
        ],
        # a switch that is off agrees with another word
        [{"fp16": False, "training": {"mixed_precision": "bf16"}}],
    ],
)
def test_spellings_that_agree_are_none(layers: list[dict[str, Any]]) -> None:
    stack = [file(tree, f"{index}.yaml") for index, tree in enumerate(layers)]
    assert "aliases-disagree" not in findings(*stack)


def test_the_command_line_overrules_every_spelling_without_a_word() -> None:
    base = file({"deepspeed": {"micro_batch_size": 4}}, "base.yaml")
    assert "aliases-disagree" not in findings(base, typed({"batch_size": "8"}))
    both = typed({"training.batch_size": "8", "deepspeed.micro_batch_size": "4"})
    assert "aliases-disagree" in findings(both)


def test_a_retired_key_is_left_out_and_explained() -> None:
    composed = compose([file({"memory": {"pool_size_gb": 16}, "model": {"use_cache": True}})])
    assert composed.tree == {}
    found = findings(file({"model": {"use_cache": True}}))
    assert "model.use_cache is not used here: training needs no" in found["retired-key"]
    assert "retired-key" in findings(file({"training": {"memory": {"pool_size_gb": 16}}}))


# ------------------------------------------------------------------------------ command line


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("micro_batch_size", "training.batch_size"),
        ("lr", "training.learning_rate"),
        ("num-gpus", "parallel.devices_per_node"),
        ("deepspeed.gradient_clipping", "training.max_gradient_norm"),
        ("fp16", "training.mixed_precision"),
        ("epochs", "training.num_epochs"),
    ],
)
def test_aliases_on_the_command_line(given: str, path: str) -> None:
    assert resolve_key(given) == path


def test_values_of_aliases_on_the_command_line() -> None:
    composed = compose([typed({"fp16": "true", "lr": "3e-5", "betas": "[0.8, 0.9]"})])
    assert composed.tree["training"] == {
        "mixed_precision": "fp16",
        "learning_rate": 3e-5,
        "beta1": 0.8,
        "beta2": 0.9,
    }
    assert composed.origins["training.mixed_precision"].alias is not None


def test_lists_on_the_command_line() -> None:
    tree = typed({"run.tags": "a, b", "mesh_shape": "2,4", "expert_segment_sizes": "null"}).tree
    assert tree["run"]["tags"] == ["a", "b"]
    assert tree["parallel"]["mesh_shape"] == [2, 4]
    assert tree["model"]["moe"]["expert_segment_sizes"] is None


def test_a_name_that_several_aliases_share_is_asked_back() -> None:
    with pytest.raises(UsageError, match="several keys are called"):
        resolve_key("enabled")


def test_advice_names_no_command_that_does_not_exist() -> None:
    told = {word for why in RETIRED.values() for word in re.findall(r"ava ([a-z]+)", why)}
    assert told <= {"train", "launch", "runs", "config"}
