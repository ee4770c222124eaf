"""Manifests from files: YAML with positions → resources, Secrets and ConfigMaps → references checked.

================  ==========================================================================================
`findings`        an error or a warning, with file, line and column
`documents`       text of a file → plain data, each value with its position; bounded against bombs
`files`           which files a `-f` names
`stores`          Secret and ConfigMap of Kubernetes' core/v1, so that references work without a cluster
`declared`        resources, each with its origin
`load`            everything together: all findings at once, or the manifests
`references`      checks that whatever resources name exists
`partial`         the part of manifests with errors that is applied while Vigil runs
`changes`         fields that cannot change while Vigil runs
`photos`          the bytes of a Subject's photos
================  ==========================================================================================
"""

from vigil_cli.manifests.declared import Declared, Manifests
from vigil_cli.manifests.findings import Finding, ManifestError, Severity
from vigil_cli.manifests.load import load

__all__ = ["Declared", "Finding", "ManifestError", "Manifests", "Severity", "load"]
