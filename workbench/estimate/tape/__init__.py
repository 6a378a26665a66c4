"""A network on paper: the operations of its code over symbolic shapes, and what they keep alive.

`network/` repeats the trainer's model code line by line with these operations. A run of it records
which tensors exist at each allocation, for the forward and the backward pass, because symbolic
tensors are ordinary Python objects: they live as long as something refers to them, like real ones.
`compile.py` turns the record into a few sums of closed forms, once per structure; a new size then
costs microseconds.

| file | what |
|---|---|
| tensor.py | tensors, storages, and the tape that sees them come and go |
| autograd.py | nodes, the backward pass, recomputation |
| ops.py | the operations and what each keeps for its backward pass |
| ops_attention.py | those of attention with masks, dropout or all scores |
| compile.py | from a record to closed forms |
"""
