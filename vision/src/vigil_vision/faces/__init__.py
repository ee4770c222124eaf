"""Faces: the two models, alignment, quality, and enrolment of a photo."""
