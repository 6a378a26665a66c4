"""DeepSpeed's JSON configs and hostfiles, as release 0.19.8 reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.package import Package

if TYPE_CHECKING:
    from workbench.dialects.base import Remark


class _DeepSpeed(Package):
    def together(self, values: dict[str, Any]) -> list[Remark]:
        """The batch rule with the devices of a hostfile.

        Args:
            values: The keys of all files, by path.
        """
        from workbench.dialects.deepspeed.batch import mismatch

        return mismatch(values)


DIALECT = _DeepSpeed("deepspeed", "DeepSpeed")
