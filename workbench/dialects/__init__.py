"""Other systems' configs: read into layers, written back, nothing lost silently."""
