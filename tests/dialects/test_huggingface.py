"""Hugging Face's config.json: published models have their size, and transformers takes ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from transformers import CONFIG_MAPPING

from tests.dialects.published import PUBLISHED
from workbench.config.checking import validate
from workbench.config.huggingface.table import WORDS
from workbench.config.layers import Layer, compose
from workbench.config.schema import Config
from workbench.config.size import size_of
from workbench.dialects.base import Foreign, Reading, Writing
from workbench.dialects.huggingface import DIALECT
from workbench.dialects.joining import flat
from workbench.dialects.registry import guess
from workbench.errors import ConfigError
from workbench.models.huggingface.table import FAMILIES

each_model = pytest.mark.parametrize("name", PUBLISHED)


def foreign(tree: dict[str, Any]) -> Foreign:
    return Foreign(Path("config.json"), json.dumps(tree, indent=1))


def read(name: str) -> Reading:
    return DIALECT.read(foreign(PUBLISHED[name][1]))


def config_of(tree: dict[str, Any]) -> tuple[Config, frozenset[str]]:
    stack = compose([Layer("layer", tree)])
    config, findings = validate(stack)
    assert config is not None, findings
    return config, frozenset(stack.origins)


def write(tree: dict[str, Any]) -> tuple[dict[str, Any], Writing]:
    config, chosen = config_of(tree)
    writing = DIALECT.write(config, chosen=chosen)
    return json.loads(writing.files["config.json"]), writing


def in_transformers(tree: dict[str, Any]) -> dict[str, Any]:
    """The config as transformers understands it."""
    made: dict[str, Any] = CONFIG_MAPPING[tree["model_type"]].from_dict(dict(tree)).to_dict()
    return made


@each_model
def test_a_published_model_has_its_number_of_parameters(name: str) -> None:
    config, _ = config_of(read(name).layer.tree)
    assert size_of(config.model).total == PUBLISHED[name][0]


@each_model
def test_it_is_guessed_before_all_others(name: str) -> None:
    ranked = guess(foreign(PUBLISHED[name][1]))
    assert ranked[0][0] == "huggingface"
    assert ranked[0][1].score >= 0.8


@each_model
def test_it_comes_back_as_it_was(name: str) -> None:
    reading = read(name)
    tree, writing = write(reading.layer.tree)
    assert writing.lost == ()
    again = DIALECT.read(foreign(tree))
    assert again.layer.tree == reading.layer.tree
    assert set(tree) >= set(PUBLISHED[name][1])


@each_model
def test_transformers_understands_what_is_written_as_what_was_read(name: str) -> None:
    tree, _ = write(read(name).layer.tree)
    before, after = in_transformers(PUBLISHED[name][1]), in_transformers(tree)
    different = {key for key in before if before[key] != after.get(key)}
    # gelu_fast is gelu_new to us; yarn's recipe has two names in transformers.
    allowed = {"hidden_act"} if name == "GPT-NeoX 20B" else set()
    allowed |= {"rope_parameters"} if name == "DeepSeek-V3" else set()
    # Null inner widths are four times the width, and are written as such.
    allowed |= {"n_inner"} if name.startswith("GPT-") else set()
    allowed |= {"layer_types"} if name == "Qwen3 30B-A3B" else set()
    assert different <= allowed


@each_model
def test_a_plan_of_its_shape_is_written_without_an_import(name: str) -> None:
    reading = read(name)
    shape = {key: value for key, value in reading.layer.tree.items() if key != "imported"}
    tree, _ = write(shape)
    assert in_transformers(tree)["vocab_size"] == PUBLISHED[name][1]["vocab_size"]
    back, _ = config_of(DIALECT.read(foreign(tree)).layer.tree)
    assert size_of(back.model).total == PUBLISHED[name][0]


@each_model
def test_no_key_is_lost(name: str) -> None:
    reading = read(name)
    told = {*reading.places, *(each.path[0] for each in reading.residue)}
    assert set(PUBLISHED[name][1]) <= told


def test_both_sides_know_the_same_families() -> None:
    assert list(WORDS) == list(FAMILIES)
    assert set(WORDS) == {PUBLISHED[name][1]["model_type"] for name in PUBLISHED}


def test_the_family_of_an_import_stays() -> None:
    """A Mistral without a window could be a Llama; it stays what it was."""
    tree = PUBLISHED["Mistral 7B"][1] | {"sliding_window": None}
    written, _ = write(DIALECT.read(foreign(tree)).layer.tree)
    assert written["model_type"] == "mistral"
    assert written["architectures"] == ["MistralForCausalLM"]


def test_a_change_of_shape_is_said() -> None:
    layer = read("Llama 3.1 8B").layer.tree
    layer["model"]["num_layers"] = 16
    written, _ = write(layer)
    assert written["num_hidden_layers"] == 16
    qwen = read("Qwen2 0.5B").layer.tree
    qwen["model"]["sliding_window"] = 512
    assert in_transformers(write(qwen)[0])["sliding_window"] == 512
    assert written["rope_scaling"]["rope_type"] == "llama3"
    assert written["eos_token_id"] == [128001, 128008]


def test_weights_in_8_bits_are_an_assumption_and_kept() -> None:
    reading = read("DeepSeek-V3")
    assert any("full precision" in remark.message for remark in reading.remarks)
    keys = dict(flat(reading.layer.tree))["imported.keys"]
    assert keys["quantization_config"]["quant_method"] == "fp8"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma3"}, "gemma3 cannot be read"),
        ({"hidden_size": None}, "no config.json of the family|lacks"),
        ({"hidden_act": "tanh"}, "tanh is not built"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "longrope are not built"),
        ({"rope_scaling": 4}, "another form"),
        ({"pretraining_tp": 2}, "pretraining_tp: 2 is not built"),
    ],
)
def test_what_cannot_be_built_is_one_message(changes: dict[str, Any], message: str) -> None:
    tree = PUBLISHED["Llama 2 7B"][1] | changes
    if changes.get("hidden_size", "") is None:
        del tree["hidden_size"]
    with pytest.raises(ConfigError) as caught:
        DIALECT.read(foreign(tree))
    assert re.search(message, caught.value.render())


def test_a_size_of_a_word_has_no_place_and_is_kept() -> None:
    reading = DIALECT.read(foreign(PUBLISHED["Llama 2 7B"][1] | {"hidden_size": "wide"}))
    reasons = {each.path: each.reason for each in reading.residue}
    assert "a whole number ≥ 8, not wide" in reasons["hidden_size",]


def test_a_network_that_transformers_has_not_is_one_message() -> None:
    with pytest.raises(ConfigError, match="no model like this one"):
        write({"model": {"residual_type": "parallel", "norm_type": "rmsnorm"}})


def test_what_is_no_shape_is_lost() -> None:
    _, writing = write({"model": {"hidden_size": 64}, "training": {"batch_size": 2}})
    assert [(each.path, "shape" in each.reason) for each in writing.lost] == [
        ("training.batch_size", True)
    ]


LLAMA: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
    "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
}  # fmt: skip
SPELLED: dict[str, dict[str, Any]] = {
    "today's rope": LLAMA
    | {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6,
                           "original_max_position_embeddings": 64, "mrope_section": [1, 2]}},
    "a window that is off": LLAMA
    | {"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 4096,
       "max_window_layers": 2},
    "layers by kind": LLAMA | {"model_type": "qwen3", "layer_types": ["full_attention"] * 2,
                               "head_dim": 16},
    "an inner width left open": {
        "model_type": "gptj", "vocab_size": 512, "n_embd": 64, "n_layer": 2, "n_head": 4,
        "n_inner": None, "n_positions": 64, "rotary_dim": 8,
    },
    "another name of an activation": {
        "model_type": "gpt_neox", "vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 96, "max_position_embeddings": 64,
        "hidden_act": "gelu_fast", "rotary_pct": 0.5,
    },
}  # fmt: skip


@pytest.mark.parametrize("tree", SPELLED.values(), ids=SPELLED)
def test_a_file_s_own_spelling_goes_back(tree: dict[str, Any]) -> None:
    reading = DIALECT.read(foreign(tree))
    back, _ = write(reading.layer.tree)
    assert {key: back.get(key, "lost") for key in tree} == tree
    assert DIALECT.read(foreign(back)).layer.tree == reading.layer.tree


def test_an_edit_overrules_a_file_s_own_spelling() -> None:
    tree = DIALECT.read(foreign(SPELLED["today's rope"])).layer.tree
    tree["model"]["rope_theta"] = 5e5
    back, _ = write(tree)
    again = DIALECT.read(foreign(back)).layer.tree["model"]
    assert (again["rope_theta"], again["rope_scaling"]["factor"]) == (5e5, 4.0)


@pytest.mark.parametrize(
    ("change", "family", "words"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "llama", "LlamaForCausalLM"),
        ({"type_vocab_size": 2, "tie_word_embeddings": True}, "bert", "type_vocab_size"),
    ],
)
def test_a_file_without_a_type_is_known_by_what_it_has(
    change: dict[str, Any], family: str, words: str
) -> None:
    text = foreign({key: value for key, value in LLAMA.items() if key != "model_type"} | change)
    ranked = guess(text)
    assert ranked[0][0] == "huggingface"
    reading = DIALECT.read(text)
    (told,) = [each.message for each in reading.remarks if "of the type" in each.message]
    assert family in told
    assert words in told
    back, _ = write(reading.layer.tree)
    assert back["model_type"] == family
    assert DIALECT.read(foreign(back)).layer.tree["model"] == reading.layer.tree["model"]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"hidden_size": 4}, "no model_type"),
        ({"model_type": "llava", "text_config": LLAMA}, "below text_config as a file"),
    ],
)
def test_why_a_model_cannot_be_read(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DIALECT.read(foreign(tree))
    assert message in caught.value.render()


def test_a_reason_says_whether_the_family_reads_a_key() -> None:
    reading = DIALECT.read(foreign(LLAMA | {"sliding_window": 7, "rope_scaling": None, "own": 1}))
    assert {each.path[0]: each.reason for each in reading.residue} == {
        "model_type": "the family; which parts a network has follows from it",
        "sliding_window": "a model of the type llama does not read it",
        "rope_scaling": "null: as if it were not there",
        "own": "no key of model says it",
    }
