"""What is looked for in frames. A new analysis is one folder here and one line in `registry.py`."""
