"""The ledger of a t5: two stacks, learned distances, and what the decoder reads of the encoder."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.amounts import seeds
from tests.estimate.in_turn import agree
from workbench.config.schema import Config
from workbench.data.corrupt import noise_counts, raw_length
from workbench.estimate.memory import memory_of
from workbench.estimate.network.lengths import lengths_of

if TYPE_CHECKING:
    from workbench.estimate.memory import Memory


def test_a_sample_of_t5s() -> None:
    agree("t5", range(6))


@pytest.mark.slow
def test_two_hundred_t5s() -> None:
    agree("t5", seeds(200))


def test_a_text_with_holes_is_as_long_as_the_data_make_it() -> None:
    rng = random.Random(3)
    for _ in range(200):
        data = {
            "max_length": rng.choice([2, 3, 7, 64, 200, 513]),
            "noise_density": rng.choice([0.05, 0.15, 0.5, 0.9]),
            "mean_noise_span_length": rng.choice([1.0, 3.0, 10.0]),
        }
        config = Config.model_validate({"model": {"model_type": "t5"}, "data": data})
        density, mean = config.data.noise_density, config.data.mean_noise_span_length
        raw = raw_length(config.data.max_length, density, mean)
        noise, spans = noise_counts(raw, density, mean)
        lengths = lengths_of(config)
        assert (lengths.read, lengths.written) == (raw - noise + spans + 1, noise + spans + 1)


def t5(read: int, written: int) -> Memory:
    tree = {
        "model": {"model_type": "t5", "num_encoder_layers": read, "num_layers": written},
        "data": {"max_length": 256, "format": "instruction"},
    }
    return memory_of(Config.model_validate(tree))


def test_what_was_read_lives_until_the_first_block_of_the_decoder_is_done() -> None:
    moments = {moment.name: moment for moment in t5(2, 3).moments}

    def holds(name: str) -> bool:
        return any("what was read" in line.name for line in moments[name].lines())

    names = list(moments)
    middle = names.index("between the stacks, backward")
    assert all(holds(name) for name in names[:middle] if "block" in name and "backward" in name)
    assert not any(holds(name) for name in names[middle + 1 :])


def test_blocks_of_both_stacks_are_counted() -> None:
    names = [moment.name for moment in t5(2, 3).moments]
    assert "block 5 of 5, backward" in names
    assert "block 1 of 5, backward" in names
