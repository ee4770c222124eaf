"""What changes pods while they are made, as a platform's admission webhooks do."""

from typing import Any

GROUP = "admissionregistration.k8s.io/v1"


def changing_pods(name: str, namespace: str, *patches: str) -> list[dict[str, Any]]:
    """Return the policy that changes each new pod of a namespace; it takes effect a moment after it was applied.

    Parameters
    ----------
    patches
        Expressions in CEL for lists of JSONPatch.
    """
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "resourceRules": [rule],
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}} for patch in patches],
    }
    binding = {"policyName": name}
    return [
        {"apiVersion": GROUP, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": policy},
        {"apiVersion": GROUP, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding},
    ]
