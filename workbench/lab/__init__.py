"""JupyterLab for the course: a server of our own for one workspace, on this machine only.

It belongs to no face: the command line starts it, and whatever else wants to may.
"""
