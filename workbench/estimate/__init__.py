"""What a plan will cost. The batch is the first line of every estimate."""
