"""What the devices of one optimizer step send to each other and to their hosts.

Volumes are bytes that one device sends, per optimizer step. A ring all-gather or reduce-scatter of
n bytes over N devices sends n (N - 1) / N from each, an all-reduce twice that (Patarasu and Yuan,
2009, section 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.config.degrees import Degrees
from workbench.config.offload import optimizer_place, parameters_place
from workbench.config.remembered import remembered
from workbench.config.size import expert_size, head_width, num_expert_layers

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.config.size import Size

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "no": 4, "auto": 2, "fp8": 2}
_MASTER = 4


class Flow(NamedTuple):
    """One kind of traffic.

    Attributes:
        name: What travels.
        formula: The volume in symbols.
        volume: Bytes that one device sends in a step.
        devices: How many take part; 1 for traffic between a device and its host.
        overlaps: Whether it goes on beside the computation.
        apart: How far the ranks of neighbours are from each other; those of one node are close.
        ring: Whether it goes round, as gathers and reductions do; else from each to each.
    """

    name: str
    formula: str
    volume: float
    devices: int
    overlaps: bool
    apart: int = 1
    ring: bool = True


class Numbers(NamedTuple):
    """What is trained, counted.

    Attributes:
        parameters: P, all parameters of the model.
        trained: P_t, those that get a gradient.
        blocks: L, blocks.
        width: h, the residual stream.
        expert_layers: Blocks with routed experts.
        visited: K, experts that a token visits.
        routed: P_e, trained parameters of all routed experts.
        keys: Width of the keys of a token; its values have the same.
    """

    parameters: int
    trained: int
    blocks: int
    width: int
    expert_layers: int = 0
    visited: int = 0
    routed: int = 0
    keys: int = 0

    @classmethod
    def of(cls, config: Config, size: Size) -> Numbers:
        """The numbers of a plan, whose parameters are counted."""
        model = config.model
        routed = num_expert_layers(model) * model.num_experts * expert_size(model)
        return cls(
            size.total,
            size.trainable,
            model.num_layers + (model.num_encoder_layers or model.num_layers)
            if model.model_type == "t5"
            else model.num_layers,
            model.hidden_size,
            num_expert_layers(model),
            model.num_experts_per_token,
            0 if config.lora.enabled else routed,
            (model.num_key_value_heads or model.num_attention_heads) * head_width(model),
        )


def engine_of(config: Config) -> str:
    """The engine that a plan will use: ``single``, ``ddp``, ``fsdp`` or ``deepspeed``."""
    strategy = config.parallel.strategy
    if strategy != "auto":
        return strategy
    if config.deepspeed.enabled:
        return "deepspeed"
    return "ddp" if Degrees.of(config).devices > 1 else "single"


@remembered
def flows(config: Config, numbers: Numbers) -> tuple[Flow, ...]:
    """All traffic of one optimizer step, between devices and with the host."""
    degrees, engine = Degrees.of(config), engine_of(config)
    compute = _BYTES[config.training.mixed_precision]
    held = degrees.tensor * degrees.pipeline
    return tuple(
        flow
        for flow in (
            *(
                flow._replace(apart=held * flow.apart)
                for flow in _data_parallel(config, numbers, degrees, engine, compute, held)
            ),
            *_model_parallel(config, numbers, degrees, compute),
            *_host(config, numbers, degrees, engine, compute, held),
        )
        if flow.volume > 0
    )


def _data_parallel(
    config: Config, numbers: Numbers, degrees: Degrees, engine: str, compute: int, held: int
) -> list[Flow]:
    shards, micro = degrees.sharded, config.training.gradient_accumulation_steps
    share = (shards - 1) / shards
    whole, trained = numbers.parameters / held, numbers.trained / held
    overlap = config.parallel.overlap_grad_reduce
    if engine == "deepspeed":
        stage = config.deepspeed.zero_stage
        gradient = compute * trained * share
        if stage == 3:
            return _fully_sharded(whole, trained, shards, micro, compute, compute, overlaps=True)
        if stage == 0:
            return [Flow("gradients", "2 k P (N-1)/N", 2 * gradient, shards, overlap)]
        early = bool(config.deepspeed.overlap_comm)
        reductions = micro if stage == 2 else 1
        return [
            Flow("gradients", "a k P (N-1)/N", reductions * gradient, shards, early),
            Flow("updated parameters", "k P (N-1)/N", gradient, shards, overlaps=False),
        ]
    if engine == "fsdp" and config.fsdp.sharding_strategy != "no_shard":
        reduced = _BYTES[config.fsdp.reduce_dtype]
        # Hybrid shards within a node and adds gradients up between nodes.
        nodes = config.parallel.num_nodes if config.fsdp.sharding_strategy == "hybrid" else 1
        within = max(1, shards // nodes)
        keep = config.fsdp.sharding_strategy == "shard_grad_op" or not (
            config.fsdp.reshard_after_forward
        )
        found = _fully_sharded(
            whole, trained, within, micro, compute, reduced, overlaps=True, gathers=1 if keep else 2
        )
        if nodes > 1:
            between = 2 * reduced * trained / within * (nodes - 1) / nodes
            found.append(
                Flow("gradients between nodes", "2 g P/N (n-1)/n", between, nodes, overlap, within)
            )
        return found
    return _reduced(config, numbers, shards, held, overlap=overlap)


def _reduced(
    config: Config, numbers: Numbers, shards: int, held: int, *, overlap: bool
) -> list[Flow]:
    """Gradients of weights that every device has whole, but for experts that few devices share."""
    experts = config.parallel.expert_parallel_size
    routed = numbers.routed if experts > 1 else 0
    sharing = max(1, shards // experts)
    rest = 2 * _MASTER * (numbers.trained - routed) / held * (shards - 1) / shards
    own = 2 * _MASTER * routed / experts / held * (sharing - 1) / sharing
    formula = "2 g (P - P_e) (N-1)/N" if routed else "2 g P (N-1)/N"
    return [
        Flow("gradients", formula, rest, shards, overlap),
        Flow("gradients of experts", "2 g P_e/E (n-1)/n", own, sharing, overlap, experts),
    ]


def _fully_sharded(
    whole: float,
    trained: float,
    shards: int,
    micro: int,
    compute: int,
    reduced: int,
    *,
    overlaps: bool,
    gathers: int = 2,
) -> list[Flow]:
    share = (shards - 1) / shards
    times = "2 a" if gathers == 2 else "a"
    gathered, scattered = gathers * micro * compute * whole, micro * reduced * trained
    return [
        Flow("parameters, fetched", f"{times} k P (N-1)/N", gathered * share, shards, overlaps),
        Flow("gradients", "a g P (N-1)/N", scattered * share, shards, overlaps),
    ]


def _model_parallel(config: Config, numbers: Numbers, degrees: Degrees, compute: int) -> list[Flow]:
    if degrees.model * config.parallel.expert_parallel_size == 1:
        return []
    training = config.training
    tokens = training.batch_size * training.gradient_accumulation_steps * config.data.max_length
    stream = tokens * numbers.width * compute / degrees.context
    layers = numbers.blocks / degrees.pipeline
    tensor, expert = degrees.tensor, config.parallel.expert_parallel_size
    sent = tokens * compute / degrees.context * (degrees.context - 1)
    return [
        # Two all-reduces forward, two backward in each block (arXiv 1909.08053, section 3).
        Flow(
            "tensor-parallel sums",
            "8 k T h L (t-1)/t",
            8 * stream * layers * (tensor - 1) / tensor,
            tensor,
            overlaps=False,
        ),
        Flow(
            "pipeline stages",
            "2 k T h",
            2 * stream if degrees.pipeline > 1 else 0,
            2,
            overlaps=False,
            apart=tensor,
            ring=False,
        ),
        # Forward keys and values, backward both again and their gradients, once round the ring of
        # devices (arXiv 2310.01889, section 3).
        Flow(
            "keys and values round the ring",
            "6 k T kv L (c-1)",
            6 * sent * numbers.keys * layers / tensor,
            degrees.context,
            overlaps=True,
            apart=tensor * degrees.pipeline,
        ),
        # There and back, forward and backward.
        Flow(
            "tokens to their experts",
            "4 k T K h L_e (E-1)/E",
            4 * stream * numbers.visited * numbers.expert_layers * (expert - 1) / expert,
            expert,
            overlaps=False,
            apart=tensor * degrees.pipeline,
            ring=False,
        ),
    ]


def _host(
    config: Config, numbers: Numbers, degrees: Degrees, engine: str, compute: int, held: int
) -> list[Flow]:
    shards, micro = degrees.sharded, config.training.gradient_accumulation_steps
    own, trained = numbers.parameters / held / shards, numbers.trained / held / shards
    deepspeed = config.deepspeed
    if engine == "fsdp" and config.fsdp.cpu_offload:
        fetched = 2 * micro * own * _MASTER
        return [
            Flow("parameters from the host", "2 a 4P/N", fetched, 1, overlaps=True),
            Flow("gradients to the host", "a 4P/N", micro * trained * _MASTER, 1, overlaps=True),
        ]
    if engine != "deepspeed":
        return []
    found = []
    if optimizer_place(deepspeed) != "none":
        found += [
            Flow("gradients to the host", "k P/N", compute * trained, 1, overlaps=True),
            Flow("parameters from the host", "k P/N", compute * trained, 1, overlaps=False),
        ]
    if parameters_place(deepspeed) != "none":
        fetched = 2 * micro * compute * own
        found.append(Flow("parameters from the host", "2 a k P/N", fetched, 1, overlaps=True))
    return found


def updates_on_host(config: Config) -> bool:
    """Whether the optimizer acts on the host's processor."""
    engine = engine_of(config)
    if engine == "fsdp":
        return config.fsdp.cpu_offload
    return engine == "deepspeed" and optimizer_place(config.deepspeed) != "none"
