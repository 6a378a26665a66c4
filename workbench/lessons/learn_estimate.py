"""An estimate as a cell shows it: what it needs, whether that fits, how fast it would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.lessons.learn_show import Table

if TYPE_CHECKING:
    from workbench.estimate.estimate import Estimate
    from workbench.plan import Plan


class Estimated:
    """The estimate of a plan.

    Attributes:
        plan: The plan.
        estimate: What it takes; its figures are attributes of it.
    """

    def __init__(self, plan: Plan) -> None:
        from workbench.estimate.estimate import Estimate
        from workbench.hardware.here import with_memory
        from workbench.measuring import known_here

        self.plan = plan
        hardware, measured = plan.hardware, None
        if hardware is None:
            hardware, measured, _ = known_here(plan.config, with_memory(None))
        self.estimate: Estimate = Estimate.of(
            plan.config, hardware, origins=plan.composed.origins, measured=measured
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.estimate, name)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is said of it, as pairs of what and how much."""
        estimate, memory, speed = self.estimate, self.estimate.memory, self.estimate.speed
        device = estimate.hardware.title if estimate.hardware else "this machine's CPU"
        rows = [
            ("parameters", units.count(estimate.size.total)),
            ("batch", estimate.batch.equation()),
            ("device", device),
        ]
        rows += [(f"  {name}", units.size(size)) for name, size in self.categories.items()]
        rows.append((f"peak, at {memory.peak.name}", units.size(memory.allocated)))
        if estimate.capacity is not None and estimate.fits is not None:
            word = "fits" if estimate.fits else "does not fit"
            sizes = f"{units.size(estimate.needed)} of {units.size(estimate.capacity)}"
            rows.append(("verdict", f"{word}: {sizes}"))
        if speed is not None:
            rows.append(("speed", f"{units.count(speed.tokens_per_second.likely)} tokens/s"))
        if estimate.time is not None:
            rows.append(("time", units.duration(3600 * estimate.time.likely)))
        if estimate.cost is not None and estimate.cost.likely >= 0.005:
            rows.append(("cost", f"${estimate.cost.likely:,.2f}"))
        return rows

    @property
    def categories(self) -> dict[str, int]:
        """Bytes of each category at the peak."""
        found: dict[str, int] = {}
        for line in self.estimate.memory.peak.lines():
            found[line.category] = found.get(line.category, 0) + line.bytes
        return found

    @property
    def lines(self) -> Table:
        """Every line of the ledger at the peak: name, formula, bytes."""
        found = sorted(self.estimate.memory.peak.lines(), key=lambda line: -line.bytes)
        rows = [(line.name, line.category, line.formula, units.size(line.bytes)) for line in found]
        return Table(["line", "category", "formula", "bytes"], rows)

    @property
    def table(self) -> Table:
        """The rows as a table."""
        return Table(["what", "how much"], self.rows)

    def __repr__(self) -> str:
        return repr(self.table)

    def html(self) -> str:
        """The rows as HTML."""
        return self.table.html()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self.html()}
