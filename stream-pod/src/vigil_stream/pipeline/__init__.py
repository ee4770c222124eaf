"""The pure middle: arrays and detections in, decisions and sightings out. No I/O, no clock of its own."""
