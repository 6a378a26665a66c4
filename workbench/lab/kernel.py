"""The kernel of the lessons: ipykernel, with the notebook's folder at the end of the import path.

There a learner's own modules are found, and a file that happens to be called ``numpy.py`` or
``workbench.py`` hides nothing. Jupyter itself puts that folder before the installed packages.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Serve one notebook until it is closed."""
    from ipykernel.kernelapp import launch_new_instance

    sys.path.append("")
    launch_new_instance()


if __name__ == "__main__":
    main()
