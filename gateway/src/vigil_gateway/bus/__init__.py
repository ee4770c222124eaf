"""The connection to NATS, the sightings that come from it, and the matches that go to it."""
