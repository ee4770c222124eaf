"""The operator: brings Cameras, Subjects and Sites on Kubernetes to what their specs ask for.

`handlers/` (thin kopf: it only watches) put keys on a work queue; `reconcile/` reads the watch cache,
computes what is wanted with the pure functions of `resources/`, and applies, prunes and reports through `kube/`, the
only place that talks to the API server.
"""
