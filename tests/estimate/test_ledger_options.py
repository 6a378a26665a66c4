"""The ledger of decoders with masks, dropout, other kernels of attention and other losses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.amounts import seeds
from tests.estimate.in_turn import agree
from tests.estimate.test_ledger import GPU
from workbench.config.schema import Config
from workbench.estimate.assumptions import memory_assumptions
from workbench.estimate.estimate import Estimate
from workbench.estimate.memory import Memory, memory_of


def test_a_sample_of_options() -> None:
    agree("options", range(6))


@pytest.mark.slow
def test_two_hundred_options() -> None:
    agree("options", seeds(200))


def memory(model: dict[str, Any], **sections: dict[str, Any]) -> Memory:
    """A small decoder with some options, on a GPU in bf16."""
    shape = {"hidden_size": 256, "num_attention_heads": 8, "num_layers": 4, "vocab_size": 512}
    training = {"mixed_precision": "bf16", "batch_size": 4} | sections.pop("training", {})
    data = {"max_length": 512} | sections.pop("data", {})
    tree = {"model": shape | model, "training": training, "data": data}
    return memory_of(Config.model_validate(tree), GPU)


def saved(of: Memory) -> int:
    """Activations that are kept when the loss begins."""
    return next(each for each in of.moments if each.name == "loss").by_category()["activations"]


def test_dropout_keeps_a_byte_for_each_number() -> None:
    more = saved(memory({"hidden_dropout": 0.1})) - saved(memory({}))
    tokens, width, places = 4 * 512, 256, 2 * 4
    assert more == places * tokens * width


def test_eager_attention_keeps_scores_of_all_positions() -> None:
    more = saved(memory({"attention_implementation": "eager"})) - saved(memory({}))
    heads, positions, layers = 8, 512, 4
    # fp32 weights before, bf16 weights after they are rounded.
    assert more > layers * 4 * heads * positions**2 * (4 + 2)


def test_a_window_with_shared_key_heads_makes_a_gpu_attend_the_plain_way() -> None:
    plain = saved(memory({"sliding_window": 64}))
    shared = saved(memory({"sliding_window": 64, "num_key_value_heads": 2}))
    assert shared > plain + 4 * 4 * 8 * 512**2 * 4


def test_documents_are_part_of_the_batch() -> None:
    lines = memory({}, data={"packing": "documents"}).peak.lines()
    found = next(line for line in lines if line.category == "inputs")
    assert found.bytes == 3 * 8 * 4 * 512


def test_another_loss_makes_more_matrices_of_logits() -> None:
    model = {"vocab_size": 30000}
    plain = memory(model)
    focal = memory(model, training={"losses": {"focal_loss": True}})
    assert focal.allocated > plain.allocated + 3 * 4 * 512 * 30000


def test_fp16_is_as_wide_as_bf16_on_a_gpu() -> None:
    half = memory({}, training={"mixed_precision": "fp16"})
    assert half.allocated == memory({}).allocated


def test_a_compiled_plan_gets_an_upper_bound_and_says_so() -> None:
    plan = Config.model_validate({"training": {"compile": {"enabled": True}}})
    estimate = Estimate.of(plan, GPU)
    assert estimate.memory.allocated == memory_of(Config(), GPU).allocated
    assert any("upper bound" in each for each in estimate.assumptions)


def test_what_a_run_decides_is_told() -> None:
    def told(tree: dict[str, Any]) -> str:
        return " ".join(memory_assumptions(Config.model_validate(tree), GPU))

    assert told({}) == ""
    alone = {"data": {"packing": "none", "max_length": 1000}}
    assert "sequences of 1,000 tokens, some filled up" in told(alone)
    assert "filled up" not in told(alone | {"training": {"batch_size": 1}})
    assert "not yet compared with a GPU" in told({"model": {"sliding_window": 8}})
