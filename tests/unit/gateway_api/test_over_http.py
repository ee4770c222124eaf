"""The media type of a response is the one that its client prefers, or the request is refused."""

import pytest
from fastapi import HTTPException

from vigil_gateway.handlers.graphql.over_http import PLAIN_JSON, RESPONSE_JSON, accepted_type


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", RESPONSE_JSON),
        ("*/*", RESPONSE_JSON),
        ("application/*", RESPONSE_JSON),
        ("application/json", PLAIN_JSON),
        ("application/json; charset=UTF-8", PLAIN_JSON),
        ("APPLICATION/JSON", PLAIN_JSON),
        ("application/graphql-response+json, application/json;q=0.9", RESPONSE_JSON),
        ("application/graphql-response+json;q=0.5, application/json", PLAIN_JSON),
        ("application/graphql-response+json;q=0, */*", PLAIN_JSON),
        ("application/json, */*;q=0.1", PLAIN_JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", RESPONSE_JSON),
        ("text/event-stream", None),
        ("application/json;charset=utf-16", None),
        ("application/json;q=0", None),
        ("application/json;q=nan, text/html", None),
        ("multipart/mixed;subscriptionSpec=1.0", None),
    ],
)
def test_the_media_type_is_negotiated(accept: str, media: str | None) -> None:
    if media is not None:
        assert accepted_type(accept) == media
        return
    with pytest.raises(HTTPException) as refused:
        accepted_type(accept)
    assert refused.value.status_code == 406
    assert RESPONSE_JSON in refused.value.detail
