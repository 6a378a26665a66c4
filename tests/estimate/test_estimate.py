"""The whole estimate: what it knows, what it says it does not know, and what it costs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import SHARED
from workbench.config.schema import Config
from workbench.estimate.estimate import Estimate
from workbench.estimate.upstream import ava_size
from workbench.hardware.devices import device
from workbench.plan import plan_from

H100 = device("h100_80gb")


def llama(**sections: object) -> Config:
    shape = {
        "hidden_size": 2048,
        "num_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "intermediate_size": 5632,
        "vocab_size": 32000,
        "tie_word_embeddings": False,
    }
    training = {"batch_size": 4, "mixed_precision": "bf16", "max_steps": 1000}
    return Config.model_validate(
        {
            "model": shape,
            "training": training,
            "data": {"max_length": 2048},
            **sections,
        }
    )


def test_all_of_it_fits_together() -> None:
    found = Estimate.of(llama(), H100)
    assert found.speed is not None
    assert found.bill is not None
    assert found.time is not None
    assert found.needed >= found.memory.allocated
    assert found.fits is (found.needed <= 80 * 2**30)
    assert found.headroom == 80 * 2**30 - found.needed
    seconds = found.flops.model / (found.speed.mfu * found.speed.peak)
    assert found.speed.step_seconds.likely == pytest.approx(seconds)
    assert found.time.likely == pytest.approx(1000 * seconds / 3600)
    assert found.cost is not None
    assert found.cost.likely == pytest.approx(found.time.likely * 3.78)
    assert found.energy is not None
    assert found.energy.likely == pytest.approx(found.time.likely * 0.7)
    assert found.bill.optimal_tokens == 20 * found.size.active
    assert found.bill.optimal_hours.likely == pytest.approx(
        found.time.likely * found.bill.optimal_tokens / found.bill.tokens
    )


def test_it_is_data_for_programs() -> None:
    data = Estimate.of(llama(), H100).to_dict()
    again = json.loads(json.dumps(data))
    assert again["speed"]["tokens_per_second"]["low"] < again["speed"]["tokens_per_second"]["high"]
    assert again["flops"]["model"] == 3 * again["flops"]["forward"]
    assert again["assumptions"]
    assert sum(again["parts"].values()) == again["parameters"]


def test_an_unknown_peak_gives_no_speed_and_says_why() -> None:
    found = Estimate.of(llama(), device("cpu"))
    assert (found.speed, found.time, found.cost, found.energy) == (None, None, None, None)
    assert found.no_speed is not None
    assert any("speed is not known" in each for each in found.assumptions)
    assert found.fits is None, "the memory of a CPU is the host's"


def test_an_end_that_nobody_knows() -> None:
    training = {"batch_size": 4, "num_epochs": 2}
    config = llama(training=training)
    assert Estimate.of(config, H100).bill is None
    assert any("the end is not known" in each for each in Estimate.of(config, H100).assumptions)
    counted = Estimate.of(config, H100, sequences_per_epoch=1000).bill
    assert counted is not None
    assert counted.steps == 500


def test_what_upstream_builds_of_its_largest_preset() -> None:
    plan = plan_from(layers=["gpu/base", "hardware/h100_80gb"])
    found = ava_size(plan.config.model, plan.composed.stack)
    assert found is not None
    # 1.2 of the reference: 65.7 B as coded, 39.1 B with plain experts, 8.6 B active.
    assert found.total == 65_724_344_320
    assert found.plain == 39_130_357_760
    assert found.vocabulary == 50257
    assert round(found.active / 1e9, 1) == 8.6
    assert ava_size(plan.config.model, ("mine.yaml",)) is None
    assert ava_size(llama().model, ("gpu/nano",)) is None


@pytest.mark.parametrize("name", ["hardware/h100_80gb", "hardware/a100_80gb"])
def test_upstreams_own_files_have_that_vocabulary(name: str) -> None:
    file: Path = SHARED / "upstream" / "ava" / "code" / "configs" / f"{name}.yaml"
    if not file.exists():
        pytest.skip("upstream's files are not here")
    assert yaml.safe_load(file.read_text())["model"]["vocab_size"] == 50257


def test_a_warm_estimate_is_cheap() -> None:
    """0.3 ms of a quiet core; the limit here forgives a busy one."""
    config = llama()

    def once() -> float:
        started = time.process_time()
        found = Estimate.of(config, H100)
        assert found.memory.allocated
        assert found.speed is not None
        assert found.bill is not None
        return time.process_time() - started

    once()
    assert min(once() for _ in range(50)) < 0.001
