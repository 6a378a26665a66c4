"""Plans that divide the model: what one device has, against the parameters of the whole."""

from __future__ import annotations

import pytest

from workbench.config.size import size_of
from workbench.estimate.estimate import Estimate
from workbench.estimate.fit.edits import changed
from workbench.estimate.planned import device_config
from workbench.hardware.devices import device
from workbench.plan import plan_from

MODELS = ["llama2_7b", "mixtral_8x7b", "deepseek_v3", "bert_large", "t5_large"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("degree", [2, 8])
def test_tensor_parallelism_divides_all_but_norms_and_narrow_projections(
    model: str, degree: int
) -> None:
    edits = {"parallel.devices_per_node": degree, "parallel.tensor_parallel_size": degree}
    config = changed(plan_from(layers=[f"models/{model}"]).config, edits)
    whole, own = size_of(config.model).total, size_of(device_config(config).model).total
    assert whole / degree <= own < whole / degree + 0.02 * whole


def test_expert_parallelism_divides_the_experts() -> None:
    edits = {
        "parallel.devices_per_node": 4,
        "parallel.expert_parallel_size": 4,
        "parallel.strategy": "ddp",
    }
    config = changed(plan_from(layers=["models/mixtral_8x7b"]).config, edits)
    parts, own = (dict(size_of(each.model).parts) for each in (config, device_config(config)))
    assert own["experts"] == parts["experts"] / 4
    assert own["attention"] == parts["attention"]
    lonely = changed(config, edits | dict.fromkeys(list(edits)[:2], 8))
    assert dict(size_of(device_config(lonely).model).parts)["feed-forward"] == parts["experts"] / 8
    assert any("fewer experts" in each for each in Estimate.of(lonely).assumptions)


def test_it_is_said_that_such_a_plan_is_not_traced() -> None:
    edits = {"parallel.devices_per_node": 2, "parallel.tensor_parallel_size": 2}
    config = changed(plan_from(layers=["models/llama2_7b"]).config, edits)
    found = Estimate.of(config, device("h100_80gb")).assumptions
    assert any("not traced" in each for each in found)
