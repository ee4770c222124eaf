"""One process per camera: capture, detect, track, best shot, publish.

================  ========================================================================================
`capture`         sources behind one small interface; frames to arrays; reconnecting; frozen video
`masking`         black in the frame itself where a privacy mask covers it
`pipeline`        pure: motion gate, regions and privacy masks, tracks, geometry
`frame_pipeline`  the way of one frame through these steps to the analyses
`analyses`        from frames and detections to events, each in a folder; `catalogue` lists them
`publish`         the journal on disk and the bus
`runner`          starts, watches and ends the parts that `factory` wires
================  ========================================================================================
"""
