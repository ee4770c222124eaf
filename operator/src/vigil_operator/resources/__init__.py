"""Pure functions from a custom resource and its wiring to the manifests that it needs."""
