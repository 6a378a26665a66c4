"""What a plan may run on: device profiles."""
