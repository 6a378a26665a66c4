"""The shipped models are the published ones: each has the size that is known of it."""

from __future__ import annotations

import re

import pytest

from workbench.config.layers import shipped
from workbench.config.size import size_of
from workbench.plan import Plan, Recipe, plan_from, recipe, recipes
from workbench.resources import data_dir

KNOWN = {
    "bert_base": 109_514_298,
    "bert_large": 335_174_458,
    "deepseek_v3": 671_026_404_352,
    "gpt2": 124_439_808,
    "gpt_neox_20b": 20_554_567_680,
    "gptj_6b": 6_050_882_784,
    "llama2_7b": 6_738_415_616,
    "llama2_13b": 13_015_864_320,
    "llama2_70b": 68_976_648_192,
    "llama3_1_8b": 8_030_261_248,
    "llama3_1_70b": 70_553_706_496,
    "llama3_2_1b": 1_235_814_400,
    "llama3_2_3b": 3_212_749_824,
    "mathstral_7b": 7_248_023_552,
    "mixtral_8x7b": 46_702_792_704,
    "nanogpt_char": 10_942_464,
    "nanollama3_char": 9_933_696,
    "t5_small": 60_506_624,
    "t5_base": 222_903_552,
    "t5_large": 737_668_096,
    "t5_xl": 2_849_757_184,
    "tinyllama": 1_100_048_384,
}
"""Parameters of the published weights, as their model cards or transformers' classes count them."""
DEEPSEEK = {
    "deepseek_1b": (5_026_624_524, "5.03 B"),
    "deepseek_5b": (35_441_832_996, "35.4 B"),
    "deepseek_10b": (98_780_436_552, "98.8 B"),
    "deepseek_50b": (3_354_517_154_254, "3.35 T"),
}
"""What upstream's code builds of four of its eleven sizes."""
EXAMPLES = {
    "bert_base_finetuning", "bert_large_pretraining", "gpt2_baseline", "gptj_6b_zero2",
    "gpt_neox_20b_zero3", "llama_7b_single_node", "llama_13b_zero3_offload",
    "llama_70b_multi_node", "llama_lora_finetune", "t5_small_finetuning", "t5_base_pretraining",
    "t5_large_zero3", "t5_xl_multi_node",
}  # fmt: skip
MODELS = sorted(name for name in shipped() if name.startswith("models/"))
OTHERS = [item for item in recipes() if not item.featured]


def model(name: str, **changes: str) -> int:
    """Parameters of a shipped model."""
    overrides = {f"model.{key}": value for key, value in changes.items()}
    return size_of(plan_from(layers=[f"models/{name}"], overrides=overrides).config.model).total


def comments(name: str) -> str:
    """The comments of a layer, as one line."""
    return " ".join(re.findall(r"#\s*(.*)", (data_dir("configs") / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", KNOWN)
def test_a_published_model_has_its_size(name: str) -> None:
    assert model(name) == KNOWN[name]
    assert f"{KNOWN[name]:,} parameters" in comments(f"models/{name}")


def test_every_model_is_tested() -> None:
    sizes = {f"models/deepseek_{size}b" for size in (1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50)}
    assert {*(f"models/{name}" for name in KNOWN), *sizes} == set(MODELS)


def test_character_models_have_upstreams_size_with_upstreams_vocabulary() -> None:
    changes = {"vocab_size": "96"}
    chars = {"data.tokenizer_name": "some/characters"}
    for name, size in (("nanogpt_char", 10_819_584), ("nanollama3_char", 9_810_816)):
        overrides = {f"model.{key}": value for key, value in changes.items()} | chars
        plan = plan_from(layers=[f"models/{name}"], overrides=overrides)
        assert size_of(plan.config.model).total == size
        assert f"{size:,}" in comments(f"models/{name}")


@pytest.mark.parametrize("name", DEEPSEEK)
def test_a_name_that_lies_is_told(name: str) -> None:
    counted, shown = DEEPSEEK[name]
    assert f"{counted:,}" in comments(f"models/{name}")
    assert shown in recipe(name).title
    # Without the head for further tokens, which shares the embedding here.
    assert 0.9 < model(name) / counted < 1


DOCUMENTS_WRONG = {
    "models/llama3_2_3b": "11,008",
    "models/llama3_2_1b": "2 heads of keys and values",
    "models/llama2_7b": "50,432",
    "models/llama3_1_8b": "10,000",
    "recipes/llama_70b_multi_node": "1bit-Adam is not compatible with ZeRO",
    "recipes/t5_xl_multi_node": "1bit-Adam is not compatible with ZeRO",
    "recipes/bert_large_pretraining": "1bit-Lamb is not compatible with ZeRO",
    "recipes/bert_base_finetuning": "128 on one device",
    "recipes/deepseek_1b": "0.0015",
    "recipes/n150_template": "5,000",
}


@pytest.mark.parametrize("name", DOCUMENTS_WRONG)
def test_where_a_document_is_wrong_the_preset_says_so(name: str) -> None:
    assert DOCUMENTS_WRONG[name] in comments(name)


def test_every_example_of_deepspeed_is_a_recipe() -> None:
    assert {item.name for item in OTHERS} >= EXAMPLES


@pytest.mark.parametrize("item", OTHERS, ids=lambda item: item.name)
def test_an_example_can_start(item: Recipe) -> None:

    plan: Plan = plan_from(item.name)
    assert [each.render() for each in plan.findings if each.severity == "error"] == []
    training = plan.config.training
    if training.global_batch_size is not None:
        parallel = plan.config.parallel
        devices = parallel.num_nodes * parallel.devices_per_node
        sequences = training.batch_size * training.gradient_accumulation_steps * devices
        assert sequences == training.global_batch_size


def test_short_lists_stay_short() -> None:
    assert sum(item.featured for item in recipes()) <= 25
