"""What differs between runs and plans, for checks on "change one thing at a time"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.runs.compare import counts, flat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.config.findings import Finding
    from workbench.lessons.evidence_run import RunEvidence
    from workbench.plan import Plan
    from workbench.runs.compare import Change


def values_of(each: RunEvidence | Plan) -> dict[str, Any]:
    """The resolved values of a run or a plan that have an influence on the training, by path."""
    tree = each.tree if hasattr(each, "tree") else each.config
    return {path: value for path, value in flat(tree).items() if counts(path)}


def differences(
    before: RunEvidence | Plan, after: RunEvidence | Plan
) -> dict[str, tuple[Any, Any]]:
    """The keys with an influence on the training that two runs or plans have different values for.

    Raises:
        FindingsError: One of them is a plan with errors.
    """
    a, b = values_of(before), values_of(after)
    return {
        path: (a.get(path), b.get(path))
        for path in dict.fromkeys([*a, *b])
        if a.get(path) != b.get(path)
        or isinstance(a.get(path), bool) != isinstance(b.get(path), bool)
    }


def differing(runs: Sequence[RunEvidence]) -> list[str]:
    """The keys with an influence on the training in which several runs differ."""
    all_values = [values_of(run) for run in runs]
    paths = dict.fromkeys(path for values in all_values for path in values)
    return [
        path
        for path in paths
        if any(values.get(path) != all_values[0].get(path) for values in all_values[1:])
    ]


def why_not_one_change(
    before: RunEvidence | Plan, after: RunEvidence | Plan, key: str | None = None
) -> str:
    """Why two runs or plans do not differ in exactly one key; empty when they do.

    Args:
        before: The one that was changed.
        after: What came of it.
        key: The key that was to be changed; None: whichever.
    """
    found = differences(before, after)
    if not found:
        return "the two have the same config: nothing was changed"
    if key is not None and key not in found:
        return f"{key} is the same in both; what differs is {_named(found)}"
    if len(found) > 1:
        return f"{len(found)} keys differ, and one was to be changed: {_named(found)}"
    return ""


def _named(found: dict[str, tuple[Any, Any]]) -> str:
    shown = [f"{path} ({before} and {after})" for path, (before, after) in found.items()]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


def single_changes(runs: Sequence[RunEvidence], metric: str = "val_loss") -> list[Change]:
    """Which single change made a metric better, as `workbench.runs.compare` says it."""
    from workbench.runs import compare

    return compare.single_changes([compare.figures(run.dir) for run in runs], metric)


def findings_of(plan: Plan, *, rule: str | None = None, path: str | None = None) -> list[Finding]:
    """What is to be said about a plan; of one rule, or about one key."""
    return [
        each
        for each in plan.findings
        if (rule is None or each.rule == rule) and (path is None or each.path == path)
    ]
