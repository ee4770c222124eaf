"""The connection to NATS, the consumer of sightings, and the deletion of messages."""
