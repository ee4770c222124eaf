"""Heartbeats of the stream pods, over NATS."""
