import dataclasses

import pytest

from vigil_gateway.principal import TOKEN_HOLDER, Permission, PermissionDeniedError, Scope, system


@pytest.mark.parametrize("permission", Permission)
def test_the_token_holder_may_do_everything(permission: Permission) -> None:
    TOKEN_HOLDER.require(permission)


def test_a_missing_permission_is_refused_by_name() -> None:
    retention = system("retention", Permission.DELETE_SIGHTINGS)
    retention.require(Permission.DELETE_SIGHTINGS)
    with pytest.raises(PermissionDeniedError, match="System retention has no permission subjects:erase"):
        retention.require(Permission.ERASE_SUBJECTS)


def test_a_narrower_scope_is_refused_until_it_is_evaluated() -> None:
    guard = dataclasses.replace(TOKEN_HOLDER, id="guard", scope=Scope(sites=frozenset({"home"})))
    with pytest.raises(PermissionDeniedError, match="only in a part of the data"):
        guard.require(Permission.READ_SIGHTINGS)


def test_the_render_key_is_what_a_principal_may_see() -> None:
    other = dataclasses.replace(TOKEN_HOLDER, id="another")
    assert hash(other.render_key) == hash(TOKEN_HOLDER.render_key)
    assert other.render_key == TOKEN_HOLDER.render_key
    fewer = dataclasses.replace(TOKEN_HOLDER, permissions=frozenset({Permission.READ_SIGHTINGS}))
    narrower = dataclasses.replace(TOKEN_HOLDER, scope=Scope(categories=frozenset({"Visitor"})))
    assert len({TOKEN_HOLDER.render_key, fewer.render_key, narrower.render_key}) == 3
