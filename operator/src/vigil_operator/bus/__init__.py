"""What the stream pods say of themselves, over NATS."""
