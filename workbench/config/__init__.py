"""What a run is: schema, layers, where each value came from, and whether it is right."""
