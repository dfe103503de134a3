"""Programs that make load, each a process of its own that prints one JSON line."""
