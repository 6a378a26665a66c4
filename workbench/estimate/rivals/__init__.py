"""What other calculators say about the same plan, in our own words: to be measured against.

Each is told as much of the plan as it can be told, with the settings that come nearest, and answers
with the bytes of one device. Where it has no word for something, it leaves that out, as it does
when it is used. `table.py` puts them beside the ledger.
"""

from workbench.estimate.rivals.table import Answer, answers

__all__ = ["Answer", "answers"]
