"""What exists on a device at the moments of a step, one file per strategy of training."""
