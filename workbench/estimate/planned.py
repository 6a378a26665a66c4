"""Tensor, pipeline, context and expert parallelism: what one device has, by the papers' formulas.

The trainer does not divide a model so far, so that nothing here is traced: these are plans.

- Tensor (Megatron, arXiv 1909.08053, section 3; arXiv 2205.05198, section 4.2): heads, the inner
  width and the vocabulary are divided, with their weights and activations; the residual stream and
  norms are whole on every device.
- Pipeline (1F1B, arXiv 2104.04473, section 2.2): the fullest stage has its layers, and keeps the
  activations of as many micro-batches as there are stages. It is taken to hold the embedding and
  the output too, which is more than any stage has.
- Context (ring attention, arXiv 2310.01889): the tokens of a sequence are divided.
- Expert (GShard, arXiv 2006.16668, section 3): experts are divided where all devices have whole
  weights; where weights are sharded, they are in as many pieces anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.degrees import Degrees
from workbench.config.size import head_width
from workbench.estimate.engines.base import Part, moment
from workbench.estimate.ledger import Line

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.estimate.engines.base import Standing
    from workbench.estimate.ledger import Moment
    from workbench.estimate.network.network import Sized

_FLIGHT = "1F1B, arXiv 2104.04473, section 2.2; planned, not traced"


def is_divided(config: Config) -> bool:
    """Whether a plan divides the model or a sequence."""
    parallel = config.parallel
    return Degrees.of(config).model > 1 or parallel.expert_parallel_size > 1


def notes_of(config: Config) -> tuple[str, ...]:
    """What an estimate of such a plan rests on."""
    if not is_divided(config):
        return ()
    found = ["planned, not traced: the trainer does not divide a model so far"]
    model = config.model
    if _experts(config) < min(model.num_experts_per_token, model.num_experts):
        found.append(
            "a device has fewer experts than a token visits: activations are those of its own "
            "tokens, without those that more devices send than it has experts"
        )
    return tuple(found)


def _experts(config: Config) -> int:
    """Experts whose weights one device has."""
    number, parallel = config.model.num_experts, config.parallel
    sharded = parallel.strategy == "fsdp" or config.deepspeed.zero_stage > 0
    return number if sharded else max(1, -(-number // parallel.expert_parallel_size))


def device_config(config: Config) -> Config:
    """The config of what one device has."""
    degrees, parallel, model = Degrees.of(config), config.parallel, config.model
    tensor = degrees.tensor

    def share(number: int) -> int:
        return max(1, -(-number // tensor))

    changed = {
        "num_layers": _layers(config, degrees.pipeline),
        "num_attention_heads": share(model.num_attention_heads),
        "num_key_value_heads": share(model.num_key_value_heads or model.num_attention_heads),
        "head_dim": head_width(model),
        "intermediate_size": share(model.intermediate_size),
        "vocab_size": share(model.vocab_size),
        "num_experts": _experts(config),
        "moe": model.moe.model_copy(
            update={
                name: share(width)
                for name in ("expert_intermediate_size", "shared_intermediate_size")
                if (width := getattr(model.moe, name)) is not None
            }
        ),
    }
    length = -(-config.data.max_length // degrees.context)
    devices = {"num_nodes": 1, "devices_per_node": degrees.sharded, "data_parallel_size": None}
    undivided = dict.fromkeys(
        (
            "tensor_parallel_size",
            "pipeline_parallel_size",
            "context_parallel_size",
            "expert_parallel_size",
        ),
        1,
    )
    return config.model_copy(
        update={
            "model": model.model_copy(update=changed),
            "data": config.data.model_copy(update={"max_length": length}),
            "parallel": parallel.model_copy(update={**devices, **undivided}),
        }
    )


def _layers(config: Config, stages: int) -> int:
    """Layers of the fullest stage."""
    told = config.parallel.blocks_per_rank
    if stages > 1 and told:
        return max(told)
    return -(-config.model.num_layers // stages)


def in_flight(config: Config, net: Sized, standing: Standing, found: list[Moment]) -> list[Moment]:
    """The moments of a stage, beside what it keeps of the other micro-batches under way."""
    stages = Degrees.of(config).pipeline
    others = min(stages, config.training.gradient_accumulation_steps) - 1
    if others < 1:
        return found
    parts = [Part("front", "saved"), *(Part(kind, "saved", count) for kind, count in net.runs)]
    one = moment("one micro-batch", net, standing, parts).bytes - standing.bytes
    name, formula = "activations of micro-batches under way", f"{others} × those of one"
    line = Line(name, formula, others * one, "activations", _FLIGHT)
    return [each.with_line(line) for each in found]
