"""CustomResourceDefinitions out of the resource types: `python -m vigil_contracts.crds DIR`.

================  ==========================================================================================
`structural`      a pydantic model → a structural schema with limits, defaults and rules
`columns`         what `kubectl get` prints, and which fields may be selected by
`definitions`     everything together: a CustomResourceDefinition of each kind, as data and as YAML
================  ==========================================================================================
"""

from vigil_contracts.crds.definitions import definition, definitions

__all__ = ["definition", "definitions"]
