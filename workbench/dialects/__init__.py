"""Other systems' configs: read into layers, and written from plans.

How to add a system: make a package ``workbench/dialects/NAME`` with the modules ``recognising``,
``reading`` and ``writing`` that exposes ``DIALECT``, a `package.Package`, and add its name to
`registry.NAMES`. The parts that a dialect is made of:

- `opening` makes a `Foreign` of a file: encodings, garbled characters, size.
- `parsing` makes a `Document` of a `Foreign`: JSON with comments, YAML, each key with its line.
- `building` makes a `Reading`: a `Builder` knows which keys have been understood, checks each value
  against the schema, and turns the rest into residue, so that no key is dropped in silence.
- `claims` sorts out several foreign keys that say one thing, for reading and for writing.
- `telling` makes a `Writing`: a `Teller` begins with the residue and knows which keys of the plan
  have not been said.
- `yaml_text` writes YAML that readers of YAML 1.1 and 1.2 understand alike.
- `registry` guesses the system of a file and imports dialects only when they are asked.
- `joining` makes one layer of several files, `layer_file` its YAML, and `foreign_layers` the answer
  to a foreign file that was given as a layer.

Paths in ``Reading.places``, ``Residue.path`` and ``Remark.path`` name the key from the root of
the file (``optimizer.params.lr``); for flags it is the flag without dashes (``train_batch_size``).
Every leaf of a file is in one of the three: ``tests/dialects/test_framework.py`` says so for every
dialect and every real file. Nothing here imports torch, a face or the plan.
"""
