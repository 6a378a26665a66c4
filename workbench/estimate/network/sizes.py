"""What a part of the network comes to: closed forms of its groups of tensors, and its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.tape.compile import Entry, Tally, compile_sums
from workbench.estimate.tape.source import Source
from workbench.estimate.tape.tensor import size_of_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.estimate.network.steps import Steps
    from workbench.estimate.tape.tensor import Dim, Parameter, Tape


class Sizes(NamedTuple):
    """Bytes of a segment.

    Attributes:
        saved: Kept between the forward and the backward pass, the input included.
        saved_late: The same once the model has returned: what only its blocks read is gone where
            they have copies on the host.
        start: What is there when the forward pass begins: the input, and what is only lent.
        forward: The largest moment of the forward pass, the input included.
        backward: The largest moment of the backward pass.
        gradients: The gradients that it leaves behind.
        weights: The weights between steps.
        shard: The part of the fp32 weights on the first of N devices that share each of them.
        whole: All of the weights as they are gathered for computing: padded to N equal parts.
        lasting: Those of the gradients that wait for the update: none of another part's weights.
        buffers: What stands beside the weights, learns nothing, and is whole on every device.
        behind: What its forward pass leaves until the next micro-batch, for reports.
        trained: As ``weights``, of those that learn.
        trained_shard: As ``shard``, of those that learn.
        trained_whole: As ``whole``, of those that learn.
        arrival: The largest moment at which a gradient reaches its weight.
        forward_late: As ``forward``, once a router inside has been fetched by itself.
        at_router: The moment of the backward pass at which it has been fetched again.
        backward_router: As ``backward``, from then on.
        backward_late: As ``backward``, once its gradient is on its way.
        numbers: Number of weights.
        padded: Numbers that travel when its weights are fetched: padded to N equal parts.
        padded_trained: As ``padded``, of those that learn.
        padded_apart: As ``padded_trained``, of those that are fetched by themselves.
        last: Numbers of the last weight that learns and is fetched with the others.
        away: What is kept in the host's memory, pinned, where that is not the device's.
    """

    saved: int
    saved_late: int
    start: int
    forward: int
    backward: int
    gradients: int
    weights: int
    shard: int
    whole: int
    lasting: int
    buffers: int
    behind: int
    trained: int
    trained_shard: int
    trained_whole: int
    arrival: int
    forward_late: int
    at_router: int
    backward_router: int
    backward_late: int
    numbers: int
    padded: int
    padded_trained: int
    padded_apart: int
    last: int
    away: int


_OF_SHARDS = ("shard", "whole", "trained_whole")


@dataclass(frozen=True, eq=False)
class Segment:
    """What a part of the network allocates.

    Attributes:
        name: What it is.
        parameters: (name, shape) of its weights.
        groups: The moments behind each of `Sizes`.
        evaluate: `Sizes` as a tuple, from the symbols.
        kept: Bytes of an element of each weight between steps.
        trained: Whether each weight is.
        steps: The backward pass from event to event.
        onwards: The forward pass, where an engine fetches the weights of modules.
        modules: The weights of each module there.
    """

    name: str
    parameters: tuple[tuple[str, tuple[Dim, ...]], ...]
    groups: dict[str, tuple[Tally, ...]]
    evaluate: Callable[..., tuple[int, ...]]
    kept: tuple[int, ...] = ()
    trained: tuple[bool, ...] = ()
    steps: Steps | None = None
    onwards: Steps | None = None
    modules: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def rows(self) -> tuple[tuple[str, int, bool, bool], ...]:
        """Each weight's name, ``kept``, ``trained``, and whether weight decay applies to it.

        It does not to norms, biases, and stacks of biases.
        """
        each_of = zip(self.parameters, self.kept, self.trained, strict=True)
        return tuple(
            (name, kept, trained, len(shape) > 1 and not name.endswith("bias"))
            for (name, shape), kept, trained in each_of
        )

    @cached_property
    def weigh(self) -> Callable[..., tuple[tuple[tuple[int, ...], int], ...]]:
        """The sizes and the number of elements of each weight, from the symbols."""
        source = Source(SYMBOLS)
        function: Callable[..., tuple[tuple[tuple[int, ...], int], ...]] = source.function(
            [
                f"(({''.join(f'{dim},' for dim in shape)}),{source.total(size_of_shape(shape, 1))})"
                for _, shape in self.parameters
            ]
        )
        return function


def made_of(
    name: str,
    own: list[Parameter],
    groups: dict[str, tuple[Tally, ...]],
    steps: Steps,
    tape: Tape,
    onwards: Steps | None = None,
    *,
    sharded: bool,
) -> Segment:
    """A part with closed forms of its groups; what only FSDP asks for where it is there."""
    groups = {field: groups[field] for field in Sizes._fields if field in groups}
    if not sharded:
        groups |= dict.fromkeys(_OF_SHARDS, ())
    whole = [each for each in own if not each.apart] if sharded else []
    plain = {
        "numbers": _sum(size_of_shape(each.shape, 1) for each in own),
        "padded": _sum(_padded(each) for each in whole),
        "padded_trained": _sum(_padded(each) for each in whole if each.trained),
        "padded_apart": _sum(
            _padded(each) for each in own if sharded and each.apart and each.trained
        ),
        "last": _sum([size_of_shape(each.shape, 1) for each in whole if each.trained][-1:]),
        # Pinned memory comes in powers of two (`rounding.pinned`).
        "away": _sum(f"(1<<({each}-1).bit_length())" for each in tape.away),
    }
    return Segment(
        name,
        tuple((each.name, each.shape) for each in own),
        groups,
        compile_sums(groups, SYMBOLS, plain),
        tuple(each.kept for each in own),
        tuple(each.trained for each in own),
        steps,
        onwards,
        {} if tape.modules is None else {k: tuple(v) for k, v in tape.modules.weights.items()},
    )


def _sum(numbers: Iterable[str]) -> str:
    return "+".join(numbers) or "0"


def _padded(weight: Parameter) -> str:
    """Numbers of a weight that is cut into N equal parts along its first dimension."""
    first, *rest = weight.shape
    return size_of_shape((f"-(-({first})//N)", "N", *rest), 1)


def buffers_of(tape: Tape) -> Tally:
    """What stands beside the weights and learns nothing."""
    return Tally(
        tuple(
            Entry(name, size_of_shape(shape, width), 1, "weights")
            for name, shape, width in dict.fromkeys(tape.buffers)
        )
    )


def weights_of(parameters: list[Parameter]) -> dict[str, tuple[Tally, ...]]:
    """The weights, whole and cut along their first dimension over N devices."""
    whole, shard, gathered = [], [], []
    for each in parameters:
        name, shape = each.name, each.shape
        first = f"-(-({shape[0]})//N)"
        cut = (first, *shape[1:])
        whole.append(Entry(name, size_of_shape(shape, each.kept), 1, "weights"))
        shard.append(Entry(name, size_of_shape(cut, 4), 1, "weights"))
        if not each.apart:
            gathered.append(Entry(name, size_of_shape((*cut, "N"), each.width), 1, "weights"))
    return {
        "weights": (Tally(tuple(whole)),),
        "shard": (Tally(tuple(shard)),),
        "whole": (Tally(tuple(gathered)),),
    }


def trained_of(parameters: list[Parameter]) -> dict[str, tuple[Tally, ...]]:
    """The weights that learn, whole (as gradients that wait have their sizes) and cut."""
    found = weights_of([each for each in parameters if each.trained])
    waiting = tuple(
        each._replace(label=f"gradient of {each.label}", category="gradients")
        for tally in found["weights"]
        for each in tally.entries
    )
    return {
        "trained": (Tally(waiting),),
        "trained_shard": found["shard"],
        "trained_whole": found["whole"],
    }
