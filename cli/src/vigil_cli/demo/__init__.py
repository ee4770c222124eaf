"""The demo: cameras that are composed on this machine, the whole system, and an evaluation of what it recognised.

================  ==========================================================================================
`people`          the people, their photos and packages, and which of them are enrolled
`photos`          the photos, extracted from packages of the registry into the cache
`cutout`          a person cut out of a photo; the enrolment photos
`backdrop`        the drawn rooms
`scene`           the walks of people: the ground truth
`compose`         scene → frames
`film`            frames → video files in the cache
`server`          films as HTTP MJPEG and as length-prefixed JPEG, in real time; a process of its own
`publish`         a film as a live RTSP stream; a process of its own, which go2rtc starts
`site`            manifests and servers of one run
`evaluation`      recognised names, compared with the ground truth
`report`          the evaluation as a table
================  ==========================================================================================
"""
