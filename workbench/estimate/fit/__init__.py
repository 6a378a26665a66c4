"""Make it fit: other plans for the same training, the fastest first.

The sequences of an optimizer step stay what they are; what may change is how they are computed.
`find.py` holds the call, `variants.py` what may change, `search.py` how the best are found without
computing all, `accepted.py` that the rules agree, `remedies.py` what else could be bought, and
`bounds.py` how far a plan can go: its largest micro-batch, its longest sequence, its smallest card.
"""

from workbench.estimate.fit.bounds import (
    Bound,
    Card,
    cards,
    cheapest_card,
    largest_micro_batch,
    longest_sequence,
    smallest_card,
)
from workbench.estimate.fit.find import fit
from workbench.estimate.fit.result import MARGIN, FitResult, Limits, Proposal, Remedy

__all__ = [
    "MARGIN",
    "Bound",
    "Card",
    "FitResult",
    "Limits",
    "Proposal",
    "Remedy",
    "cards",
    "cheapest_card",
    "fit",
    "largest_micro_batch",
    "longest_sequence",
    "smallest_card",
]
