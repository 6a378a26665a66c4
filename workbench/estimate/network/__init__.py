"""The trainer's models on paper, line by line, with symbols for sizes: change the two together.

A file of `workbench/models` has one of the same name here. `structure.py` holds the choices that
change which operations run, `symbols.py` the sizes; `segment.py` records a part of a network,
forwards and backwards, and `network.py` puts the parts in a row. A new family is a mirror of its
code and an entry in `network.compiled`.

`tests/estimate` compares all of it with the tracer, which runs the models themselves.
"""
