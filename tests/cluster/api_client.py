"""Ask the API server directly: what it answers as data, and fast enough for tables of hundreds of rows."""

import base64
import ssl
from pathlib import Path
from typing import Any

import httpx
import yaml

from vigil_contracts.crds.definitions import PLURALS
from vigil_contracts.resources import API_VERSION

MERGE = "application/merge-patch+json"
TIMEOUT_S = 30.0


class ApiClient:
    """Creates and changes Vigil's resources in one namespace as the cluster's administrator."""

    def __init__(self, kubeconfig: Path, namespace: str, scratch: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
        certificate, key = scratch / "client.crt", scratch / "client.key"
        certificate.write_text(_pem(user, "client-certificate"))
        key.write_text(_pem(user, "client-key"))
        context.load_cert_chain(certificate, key)
        base = f"{cluster['server']}/apis/{API_VERSION}/namespaces/{namespace}/"
        self._http = httpx.Client(base_url=base, verify=context, timeout=TIMEOUT_S)

    def create(self, document: dict[str, Any], *, keep: bool = False) -> list[str]:
        """Create an object, by default without keeping it; list what is wrong with it, a line each, or nothing."""
        parameters = {"fieldValidation": "Strict", **({} if keep else {"dryRun": "All"})}
        return _problems(self._http.post(PLURALS[document["kind"]], json=document, params=parameters))

    def patch(self, kind: str, name: str, change: dict[str, Any], part: str = "", *, keep: bool = False) -> list[str]:
        """Merge a change into an object, or into its part `/status`; list what is wrong, as `create` does."""
        parameters = {"fieldValidation": "Strict", **({} if keep else {"dryRun": "All"})}
        url, headers = f"{PLURALS[kind]}/{name}{part}", {"Content-Type": MERGE}
        return _problems(self._http.patch(url, json=change, params=parameters, headers=headers))

    def close(self) -> None:
        self._http.close()


def _problems(answer: httpx.Response) -> list[str]:
    if answer.is_success:
        return []
    status = answer.json()
    causes = status.get("details", {}).get("causes", [])
    return [f"{cause['field']}: {cause['message']}" for cause in causes] or [status["message"]]


def _pem(entry: dict[str, str], name: str) -> str:
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"]).decode()
    return Path(entry[name]).read_text()
