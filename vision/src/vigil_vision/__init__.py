"""From an image to faces: letterbox, detections, alignment, quality, and the Triton client.

The stream pod, enrolment and the exporter's proofs all come through here, so that a face is treated the same
everywhere.

======================  =============================================================================
`letterbox`             how an image of any size fits the detector, and back
`detection`             the detector's rows → thresholds, non-maximum suppression, filters
`photos`                bytes of a JPEG, PNG or WebP → pixels, safely (needs Pillow: extra `photos`)
`faces.alignment`       five landmarks → the 112x112 crop that ArcFace embedders expect
`faces.quality`         the quality of a face, and the reason why a photo is refused
`faces.enrolment`       a photo → one aligned, assessed, embedded face (needs Pillow)
`faces.models`          the detector and the embedder, served by Triton
`triton`                the inference client
======================  =============================================================================

Pixel coordinates are continuous: (0, 0) is the centre of the top left pixel, x to the right, y down.
"""
