# ruff: noqa: INP001, S310 - a script, run with `python -c`; the addresses are our own Services
"""Run by `helm test`: the programs are ready, and GraphQL responds to requests with the token only."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

DEADLINE_S = 120
API, IDENTITY, TRITON = os.environ["API"], os.environ["IDENTITY"], os.environ["TRITON"]
QUERY = "{ cameras(first: 1) { edges { node { name } } } }"
END = time.monotonic() + DEADLINE_S


def ask(url: str, body: object = None, token: str | None = None) -> tuple[int, str]:
    """Return status and body; status 0 and the reason when there is no response."""
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def expect(name: str, wanted: int, url: str, body: object = None, token: str | None = None) -> str:
    """Repeat a request until it has the expected status and return the body; exit when the deadline passes."""
    while True:
        status, text = ask(url, body, token)
        if status == wanted:
            sys.stdout.write(f"ok    {name}\n")
            sys.stdout.flush()
            return text
        if time.monotonic() > END:
            sys.exit(f"failed {name}: {url} returned {status or 'nothing'}: {text[:500]}")
        time.sleep(1)


def main() -> None:
    """Check all programs."""
    expect("the API is ready", 200, f"{API}/readyz")
    expect("identity is ready", 200, f"{IDENTITY}/readyz")
    if TRITON:
        for model in ("face_detection", "face_recognition"):
            expect(f"Triton serves {model}", 200, f"{TRITON}/v2/models/{model}/ready")
    expect("GraphQL refuses a request without the token", 401, f"{API}/graphql", {"query": QUERY})
    answer = json.loads(expect("GraphQL answers", 200, f"{API}/graphql", {"query": QUERY}, os.environ["TOKEN"]))
    if "errors" in answer or "cameras" not in (answer.get("data") or {}):
        sys.exit(f"failed GraphQL returned {answer}")


main()
