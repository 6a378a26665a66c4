"""What a micro-batch itself takes on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines.states import INPUTS
from workbench.estimate.ledger import Line
from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.rounding import up

if TYPE_CHECKING:
    from workbench.estimate.network.network import Sized

_READ = SYMBOLS.index("S")


def input_lines(net: Sized) -> list[Line]:
    """Tokens, targets, and the document of each position where it is told."""
    alignment, _, sequences, length = net.symbols[:4]
    written, read = net.inputs
    name = "tokens and targets" if written == 2 else "tokens, targets and documents"
    size = written * up(8 * sequences * length, alignment)
    lines = [Line(name, f"{written} × 8 B T", size, "inputs", INPUTS)]
    if read:
        name = "tokens for the encoder" if read == 1 else "tokens and documents for the encoder"
        size = read * up(8 * sequences * net.symbols[_READ], alignment)
        lines.append(Line(name, f"{read} × 8 B S", size, "inputs", INPUTS))
    return lines
