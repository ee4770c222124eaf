"""A cluster's own certificate authority, made with openssl, and the kubeconfig files that its certificates go into."""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.kubernetes.errors import ClusterError, NotHereError

DAYS = "3650"
TIMEOUT_S = 30.0


class Authority:
    """Makes keys and certificates (P-256) below one folder.

    Parameters
    ----------
    folder
        For `ca.crt`, `ca.key`, and every certificate as `<name>.crt` and `<name>.key`.
    addresses
        What servers are reached by, as `IP:…` or `DNS:…`.
    """

    def __init__(self, folder: Path, addresses: Sequence[str]) -> None:
        if shutil.which("openssl") is None:
            raise NotHereError("openssl (apt-get install openssl)")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._addresses = ",".join(addresses)
        self._openssl("req", "-x509", *_new_key("ca"), "-days", DAYS, "-subj", "/CN=vigil-test-ca")

    @property
    def certificate(self) -> Path:
        """The authority's own certificate."""
        return self.folder / "ca.crt"

    def signing_key(self, name: str) -> None:
        """Make a pair of keys for service-account tokens: `<name>.key` and `<name>.pub`."""
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
        self._openssl("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")

    def certify(self, name: str, user: str, groups: Sequence[str] = ()) -> None:
        """Make a certificate for a user of the API, which is good for a server at our addresses, too."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        self._openssl(
            *("req", "-x509", *_new_key(name), "-days", DAYS, "-subj", subject, "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-addext", f"subjectAltName={self._addresses}", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", "extendedKeyUsage=clientAuth,serverAuth"),
        )

    def kubeconfig(self, name: str, server: str, file: Path, namespace: str = "default") -> Path:
        """Write a kubeconfig with the certificate of this name."""
        user = {"client-certificate-data": self._data(f"{name}.crt"), "client-key-data": self._data(f"{name}.key")}
        return write_kubeconfig(file, server, self.certificate, user, namespace)

    def _data(self, name: str) -> str:
        return base64.b64encode((self.folder / name).read_bytes()).decode()

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise ClusterError(f"openssl {arguments[0]} in {self.folder} failed: {done.stderr.strip()}")


def write_kubeconfig(
    file: Path, server: str, authority: Path, user: dict[str, str], namespace: str = "default"
) -> Path:
    """Write a kubeconfig that only its owner may read.

    Parameters
    ----------
    user
        How to log in, in the words of a kubeconfig: a certificate or a `token`.
    """
    authority_data = base64.b64encode(authority.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": authority_data}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    }
    file.touch(mode=0o600)
    file.write_text(json.dumps(document, indent=2))  # JSON is YAML
    return file


def _new_key(name: str) -> tuple[str, ...]:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    return (*curve, "-keyout", f"{name}.key", "-out", f"{name}.crt")
