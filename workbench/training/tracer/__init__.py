"""How much memory a training step takes, measured on the trainer's own code without computing.

The step runs on ordinary CPU tensors whose floating-point arithmetic is left out: every operation
only allocates its result. Memory that is never written is never backed by pages, so a step that
would need 80 GB on a GPU runs here in seconds, and autograd, in-place additions and views behave as
they do in earnest. (Fake tensors do not: the autograd engine adds gradients in place only for plain
tensors, and with subclasses the peak of a block's backward pass comes out too large.)
"""
