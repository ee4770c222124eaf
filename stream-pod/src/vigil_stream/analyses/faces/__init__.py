"""Faces: who is in view, as sightings with best shots.

==============  ==========================================================================================
`analysis`      from detections and tracks to sightings
`shot_taker`    cuts, aligns, measures and embeds faces
`shots`         pure: when a face is worth a quality check, and when an embedding
`sightings`     pure: the revisions of each sighting
`events`        those revisions as events for the bus
`fitness`       pure: whether the camera is fit for recognition
==============  ==========================================================================================
"""
