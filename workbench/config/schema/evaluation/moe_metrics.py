"""`evaluation.moe_metrics`: what is written down about the experts."""

from __future__ import annotations

from workbench.config.schema.base import Section, Whole, key


class MoeMetricsConfig(Section):
    """Beyond the load of the busiest expert and the dead ones, which are always written."""

    track_load_balance: bool = key(
        False, "Writes the share of tokens of every expert.", changes="files"
    )
    track_expert_utilization: bool = key(
        False, "Writes how many experts are used at all.", changes="files"
    )
    track_expert_specialization: bool = key(
        False,
        "Writes which tokens each expert sees most.",
        changes="files; time",
        unhonoured="the router's counts leave the tokens behind",
    )
    track_routing_entropy: bool = key(
        False,
        "Writes how undecided the router is.",
        changes="files",
        unhonoured="the router keeps its choices, not its probabilities",
    )
    log_frequency: Whole = key(
        100,
        "Steps between two rows of these numbers about the experts.",
        unit="optimizer steps",
        ge=1,
    )
