from tests.integration.gateway_identity.conftest import (  # noqa: F401 - fixtures: a real identity
    bus,
    database_url,
    identity,
    site,
    template,
)
