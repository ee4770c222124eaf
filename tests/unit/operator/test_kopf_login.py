"""How kopf connects to the API server."""

import ssl
from typing import Any

import pytest

from vigil_operator.handlers.lifecycle import Connection


def test_kopf_accepts_the_authorities_that_the_client_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 refuses an authority without key usage by default, and kopf would retry for ever without a word."""
    created = ssl.create_default_context

    def as_on_python_3_13(*args: Any, **options: Any) -> ssl.SSLContext:
        context = created(*args, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_on_python_3_13)
    context = Connection(server="https://api.example.com").as_ssl_context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
