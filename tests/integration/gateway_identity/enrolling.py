"""Photos, and Subjects with them, for the registry."""

import json
from typing import Any

import httpx
from tests.integration.gateway_identity.making import subject_resource
from tests.support.shared import shared


def photo(path: str) -> bytes:
    return (shared("faces") / path).read_bytes()


async def put(
    http: httpx.AsyncClient, name: str, photos: dict[str, bytes], status: int = 200, **spec: Any
) -> dict[str, Any]:
    resource = subject_resource(name, list(photos), **spec)
    files = [("subject", (None, json.dumps(resource).encode(), "application/json"))]
    files += [(f"photo:{one}", (one, data, "application/octet-stream")) for one, data in photos.items()]  # type: ignore[misc]
    response = await http.put(f"/registry/v1/subjects/default/{name}", files=files)
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found
