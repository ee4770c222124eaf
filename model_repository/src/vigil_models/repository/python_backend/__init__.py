"""What Triton's python backend runs on a machine without a GPU; the exporter copies `model.py` beside the weights."""
