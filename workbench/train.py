"""`python -m workbench.train --config …` is `ava train --config …`."""

from __future__ import annotations

import sys

from workbench.cli.train import seed_forms

if __name__ == "__main__":
    sys.exit(seed_forms())
