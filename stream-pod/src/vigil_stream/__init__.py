"""One process per camera: capture, detect, track, best shot, publish.

==============  ==========================================================================================
`capture`       sources behind one small interface; frames to arrays; reconnecting; frozen pictures
`pipeline`      pure: motion gate, regions and masks, tracks, best shots, sightings, fitness
`publish`       the journal on disk and the bus
`analyser`      the way of one picture through the pipeline, with inference between its steps
`runner`        wires everything for one camera, watches over it and ends it
==============  ==========================================================================================
"""
