"""Whether a plan can be trained on this machine: signs in the list, and why not, at a launch."""

from __future__ import annotations

from workbench.here import fits_here, why_not_here

__all__ = ["SIGNS", "fits_here", "why_not_here"]

SIGNS = {True: ("✓", "good"), False: ("✗", "error"), None: ("?", "dim")}
"""By whether a plan fits: its sign and the sign's style name."""
