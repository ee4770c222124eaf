"""From a picture to faces: letterbox, detections, alignment, quality, and the Triton client."""
