"""The catalogue of models and the exporter that turns ONNX files into a Triton repository."""
