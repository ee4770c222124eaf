"""Proof that an exported graph equals the original file: independent reference, inputs, comparison."""
