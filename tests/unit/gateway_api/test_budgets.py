"""Places by principal and connection."""

import asyncio

import pytest

from vigil_gateway.handlers.graphql.budgets import BudgetLimits, Budgets
from vigil_gateway.handlers.graphql.errors import Code, RequestError
from vigil_gateway.principal import ALL_PERMISSIONS, TOKEN_HOLDER, Principal, PrincipalKind

OTHER = Principal(PrincipalKind.TOKEN, "other", ALL_PERMISSIONS)


async def test_principals_have_places_of_their_own() -> None:
    budgets = Budgets(BudgetLimits(of_principal=1, waiting=1, wait_s=0.05))
    async with budgets.query(TOKEN_HOLDER), budgets.query(OTHER):
        with pytest.raises(RequestError, match="1 queries of this principal are under way, and none ended") as refused:
            async with budgets.query(TOKEN_HOLDER):
                pass
    assert refused.value.code is Code.TOO_MANY_REQUESTS
    async with budgets.query(TOKEN_HOLDER):
        pass
    assert budgets.refused == 1


async def test_those_who_wait_come_in_order() -> None:
    budgets = Budgets(BudgetLimits(of_principal=2, of_connection=1, waiting=10))
    connection, seen = budgets.of_connection(), []

    async def query(number: int) -> None:
        async with budgets.query(TOKEN_HOLDER, connection):
            seen.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(query(number) for number in range(8)))
    assert seen == list(range(8))


async def test_reads_are_limited_for_each_principal() -> None:
    budgets = Budgets(BudgetLimits(reads=1))
    first = budgets.reads(TOKEN_HOLDER)
    async with first, budgets.reads(OTHER):
        assert budgets.reads(TOKEN_HOLDER) is first
        assert first.locked()
