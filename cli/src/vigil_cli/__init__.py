"""The vigil command, with the whole system on one machine inside it."""
