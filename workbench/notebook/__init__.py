"""The workbench in a notebook."""
