"""`python -m workbench.tui`: the same as `ava-tui`."""

from workbench.tui import main

raise SystemExit(main())
