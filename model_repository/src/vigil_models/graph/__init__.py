"""From a public ONNX file to a served graph: read, clean, cut at the heads, fold pre- and post-processing in."""
