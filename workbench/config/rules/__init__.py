"""Rules: everything that can be said about a plan from the plan alone."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from workbench.config.rules.base import RULES, Subject

if TYPE_CHECKING:
    from workbench.config.findings import Finding

__all__ = ["RULES", "Subject", "check"]

# A rule registers itself when its module is imported; every module of this folder holds rules.
for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


# These say more about a key than the general rules, which then need not speak about it as well.
_SAY_MORE = ("one-bit-removed", "fp8-interval", "fp8-delayed-keys", "loss-scaling-needs-fp16")
_GENERAL = ("not-honoured", "without-effect")


def check(subject: Subject) -> list[Finding]:
    """Every finding of every rule, errors first."""
    order = {"error": 0, "warning": 1, "hint": 2}
    found = [finding for rule in RULES.values() for finding in rule.findings(subject)]
    said = {finding.path for finding in found if finding.rule in _SAY_MORE}
    kept = (f for f in found if not (f.rule in _GENERAL and f.path in said))
    return sorted(kept, key=lambda finding: order[finding.severity])
