"""From a picture to faces: letterbox, detections, alignment, quality, and the Triton client.

The stream pod, enrolment and the exporter's proofs all come through here, so that a face is treated the same
everywhere.

======================  =============================================================================
`letterbox`             how a picture of any size fits the detector, and back
`detection`             the detector's answer → thresholds, non-maximum suppression, filters
`photos`                bytes of a JPEG, PNG or WebP → pixels, safely (needs Pillow: extra `photos`)
`faces.alignment`       five landmarks → the 112x112 crop that ArcFace embedders expect
`faces.quality`         how good is this face; may this photo be enrolled, and if not, why
`faces.enrolment`       a photo → one aligned, assessed, embedded face (needs Pillow)
`faces.models`          the detector and the embedder, served by Triton
`triton`                the inference client
======================  =============================================================================

Pixel coordinates are continuous: (0, 0) is the centre of the top left pixel, x to the right, y down.
"""
