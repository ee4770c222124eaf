"""Consent that is no longer granted counts even in a manifest that is otherwise wrong."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from vigil_contracts.resources.common import Metadata
from vigil_contracts.resources.subject import Consent, ConsentStatus, Subject, SubjectSpec


def withdrawal(document: Mapping[str, Any]) -> Subject | None:
    """Return an invalid Subject reduced to its name and consent; None when it may state that consent is granted.

    Parameters
    ----------
    document
        A Subject that `check` refuses, as plain data. Any other status than Granted, also a misspelled one, counts as
        withdrawn: a person is never recognised in doubt.
    """
    spec = document.get("spec")
    consent = spec.get("consent") if isinstance(spec, Mapping) else None
    status = consent.get("status") if isinstance(consent, Mapping) else None
    if document.get("kind") != "Subject" or status is None or status == ConsentStatus.GRANTED:
        return None
    given = document.get("metadata")
    try:
        metadata = Metadata.model_validate(
            {name: given[name] for name in ("name", "namespace", "uid") if isinstance(given, Mapping) and name in given}
        )
    except ValidationError:
        return None
    spec = SubjectSpec(display_name=metadata.name, consent=Consent(status=ConsentStatus.WITHDRAWN))
    return Subject(metadata=metadata, spec=spec)
