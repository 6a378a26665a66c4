"""The checks of the shipped lessons, one module for each; see `workbench.lessons.checking`."""
