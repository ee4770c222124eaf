"""The analyses of frames. A new one is a folder here and a line in `catalogue.py`."""
