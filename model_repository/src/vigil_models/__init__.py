"""The catalogue of models and the exporter that turns ONNX files into a Triton repository."""

import os

# ONNX Runtime reads this when it is imported. Otherwise it makes a device id and keeps an event database in the user's
# cache without consent. Child processes inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
