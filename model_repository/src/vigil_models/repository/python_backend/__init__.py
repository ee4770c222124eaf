"""The program of Triton's python backend on a machine without a GPU; an export has `model.py` beside the weights."""
