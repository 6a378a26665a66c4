"""What every face shows of an estimate: its figures, those before the last edit, the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from workbench import units

if TYPE_CHECKING:
    from workbench.config.findings import Finding
    from workbench.estimate.estimate import Estimate
    from workbench.plan import Plan


class Figures(NamedTuple):
    """What an estimate comes to, to be compared with that of the plan before the last edit.

    Attributes:
        needed: Bytes of one device.
        categories: Bytes of each category at the peak, in the order of the bar.
        largest: Name and bytes of the largest line at the peak.
        tokens_per_second: Over all devices.
        hours: From the first step to the last.
        dollars: Of all devices.
    """

    needed: int
    categories: dict[str, int]
    largest: tuple[str, int]
    tokens_per_second: float | None
    hours: float | None
    dollars: float | None

    @classmethod
    def of(cls, estimate: Estimate) -> Figures:
        """The figures of an estimate."""
        from workbench.estimate.ledger import Category

        speed, lines = estimate.speed, estimate.memory.peak.lines()
        categories = dict.fromkeys(get_args(Category), 0)
        for line in lines:
            categories[line.category] += line.bytes
        return cls(
            estimate.needed,
            {name: size for name, size in categories.items() if size},
            (lines[0].name, lines[0].bytes),
            None if speed is None else speed.tokens_per_second.likely,
            None if estimate.time is None else estimate.time.likely,
            None if estimate.cost is None else estimate.cost.likely,
        )


class Outlook(NamedTuple):
    """What an estimate page shows.

    Attributes:
        estimate: The estimate; None where a value of the config is none.
        now: Its figures.
        before: Those of the plan before the last edit.
        findings: What is to be said about the plan.
        machine: Memory of this machine, for a plan that is made for it.
    """

    estimate: Estimate | None
    now: Figures | None
    before: Figures | None
    findings: list[Finding]
    machine: int | None

    @classmethod
    def of(cls, plan: Plan, before: Figures | None = None) -> Outlook:
        """The outlook of a plan, beside the figures of an earlier one."""
        estimate = plan.estimate
        now = None if estimate is None else Figures.of(estimate)
        machine = None
        if plan.hardware is None:
            from workbench.machine import total_memory

            machine = total_memory()
        return cls(estimate, now, before, plan.findings, machine)

    @property
    def card(self) -> int | None:
        """Bytes that there are: of the device, or of this machine; None where nobody knows."""
        return None if self.estimate is None else self.estimate.capacity or self.machine

    @property
    def fits(self) -> bool | None:
        """Whether the plan fits; None where nobody knows."""
        if self.estimate is None or self.now is None:
            return None
        fits = self.estimate.fits
        if fits is None and self.machine is not None:
            return self.now.needed <= self.machine
        return fits


def hours(hours: float) -> str:
    """Hours as a person says them."""
    return units.duration(3600 * hours)


def dollars(amount: float) -> str:
    """Money in few characters."""
    return f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"
