"""The pure steps: arrays and detections in, decisions and tracks out. No I/O, no clock of its own."""
