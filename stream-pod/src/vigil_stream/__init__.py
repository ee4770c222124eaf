"""One process per camera: capture, detect, track, best shot, publish."""
