"""The gate: people who pass one after another, run through the stream's own pipeline and identity's own decision."""
