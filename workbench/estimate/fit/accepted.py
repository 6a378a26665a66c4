"""Whether the rules accept a plan that is about to be proposed: they are asked as for any plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from workbench.config.origins import Origin
from workbench.config.rules import Subject, check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.findings import Finding
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config

LAYER = "fit"

# The ledger knows better than these rules, which go by the number of parameters; and a key that
# only another stage reads may stay where it is.
_OURS = ("zero-3-small-card", "model-exceeds-device", "bucket-memory", "stage-3-keys")


class Gate:
    """Asks the rules; what they have said about the plan itself is not held against a proposal.

    Args:
        config: The plan.
        origins: Where its values came from.
        hardware: Its device.
    """

    def __init__(
        self, config: Config, origins: Mapping[str, Origin] | None, hardware: HardwareProfile | None
    ) -> None:
        self._origins = dict(origins or {})
        self._hardware = hardware
        self._known = {(f.rule, f.path) for f in self._findings(config, {})}

    def refuses(self, config: Config, edits: Mapping[str, Any]) -> str | None:
        """Why a proposal is refused; None where it is accepted."""
        try:
            whole = type(config).model_validate(config.model_dump())
        except ValidationError as error:  # a value out of the range of its key
            return str(error.errors()[0]["msg"])
        for finding in self._findings(whole, edits):
            new = (finding.rule, finding.path) not in self._known
            if new and finding.severity != "hint" and finding.rule not in _OURS:
                return f"{finding.path}: {finding.message}"
        return None

    def _findings(self, config: Config, edits: Mapping[str, Any]) -> list[Finding]:
        origins = self._origins | {path: Origin(LAYER, value) for path, value in edits.items()}
        return check(Subject(config, origins, self._hardware))
