"""How long a portal stays open: by the customer's clock for the link, by the wall clock for who is inside."""

from datetime import timedelta

import pytest

from meterline.customer.portal import IDLE, KEPT, LINK_LIFETIME
from meterline.store import portal_session as sessions
from meterline.usecase.configure_portal import default_configuration
from meterline.usecase.enter_portal import Closed, Visit, come_back, follow_link
from meterline.usecase.open_portal import AskedPortal, Opened, open_portal, visit_secret
from tests.usecase.world import ENVIRONMENT, WALL, World

MINUTE = timedelta(minutes=1)


class Way:
    """A customer's way into the portal, opened at WALL; all times are told as time since."""

    def __init__(self, world: World, opened: Opened) -> None:
        self.world, self.opened = world, opened
        self.id = opened.session.id

    async def follow(self, after: timedelta) -> Visit:
        async with self.world.database.begin() as tx:
            return await follow_link(
                tx, environment=ENVIRONMENT, id=self.id, secret=self.opened.secret, wall=WALL + after
            )

    async def come_back(self, after: timedelta, *, active: bool = True) -> Visit:
        secret = visit_secret(self.opened.secret)
        async with self.world.database.begin() as tx:
            return await come_back(
                tx, environment=ENVIRONMENT, id=self.id, secret=secret, wall=WALL + after, active=active
            )


async def opened(world: World) -> Way:
    customer = await world.customer()
    async with world.database.begin() as tx:
        rules = await default_configuration(tx, ENVIRONMENT, now=WALL)
        way = await open_portal(tx, customer=customer, configuration=rules, asked=AskedPortal(), now=WALL)
    return Way(world, way)


async def test_a_link_opens_for_ten_minutes_as_often_as_it_is_followed(world: World) -> None:
    way = await opened(world)
    assert (await way.follow(MINUTE)).session == (await way.follow(LINK_LIFETIME - MINUTE)).session
    with pytest.raises(Closed) as late:
        await way.follow(LINK_LIFETIME)
    assert late.value.session is not None


async def test_nobody_is_inside_who_did_not_follow_the_link(world: World) -> None:
    way = await opened(world)
    with pytest.raises(Closed):
        await way.come_back(MINUTE)


async def test_a_portal_closes_an_hour_after_the_last_visit(world: World) -> None:
    way = await opened(world)
    await way.follow(MINUTE)
    await way.come_back(IDLE)
    await way.come_back(2 * IDLE - MINUTE)
    with pytest.raises(Closed):
        await way.come_back(3 * IDLE)


async def test_a_page_that_refreshes_itself_is_no_visit(world: World) -> None:
    way = await opened(world)
    await way.follow(MINUTE)
    for minutes in range(2, 60):
        await way.come_back(minutes * MINUTE, active=False)
    with pytest.raises(Closed):
        await way.come_back(IDLE + MINUTE)


async def test_old_sessions_are_forgotten_when_a_new_one_is_made(world: World) -> None:
    way = await opened(world)
    session = way.opened.session
    async with world.database.begin() as tx:
        customer_id = session.customer_id
        await sessions.forget(tx, environment=ENVIRONMENT, customer_id=customer_id, before=WALL + KEPT)
        assert await sessions.find(tx, ENVIRONMENT, session.id) is None


async def test_two_first_sessions_share_one_default_configuration(world: World) -> None:
    first, second = await opened(world), await opened(world)
    assert first.opened.session.configuration == second.opened.session.configuration
