"""Each event counts once, whatever happens in whatever order: repeats, sealing, voids, moves, replays, kills."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.models import Feature
from customers.models import Customer, CustomerAlias
from customers.periods import Period
from events.fixing.fixed import replay_fixed_causes
from events.history import sealing
from events.history.lookup import find_events
from events.history.sealing import seal_next
from events.history.unsealing import unseal_part
from events.ledger.conflicts import compare_unread
from events.ledger.rebuilding import Scope, compare
from events.ledger.replaying import replay
from events.ledger.rollup import roll_up
from events.ledger.voiding import AlreadyVoided, void_event
from events.models import DuplicateEvent, EventState, PartState, SealedPart
from events.usage.contributing_events import events_behind
from events.usage.meter import usage
from tests.events.history.sealing import LATER
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
REGIONS = ("eu", "us")
POINTS = ("_gather", "gather_part", "_publish", "_forget_places", "_finish")
PERIOD = Period(NOON - 30 * DAY, NOON + timedelta(minutes=7))
ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(REGIONS), st.integers(0, 9), st.sampled_from(["acme", "other"])),
    st.tuples(st.just("repeat"), st.integers(0, 20)),
    st.tuples(st.just("seal"), st.integers(1, 4)),
    st.tuples(st.just("kill"), st.sampled_from(POINTS), st.sampled_from(["before", "within", "after"])),
    st.tuples(st.just("void"), st.integers(0, 20)),
    st.tuples(st.just("replay"), st.integers(0, 20)),
    st.tuples(st.just("filter"), st.sampled_from([[], ["eu"], ["us"]])),
    st.tuples(st.just("move"), st.sampled_from(["acme", "globex"])),
    st.tuples(st.just("unseal")),
    st.tuples(st.just("roll_up"), st.integers(0, 9)),
)


class KilledError(Exception):
    """Simulates the end of the process."""


class UndoneError(Exception):
    """Undoes an example."""


class World:
    """The product, and beside it what each event must count."""

    def __init__(self) -> None:
        self.customers: dict[str, Customer] = {name: make_customer(external_id=name) for name in ("acme", "globex")}
        self.alias = CustomerAlias.objects.create(customer=self.customers["acme"], alias="other")
        self.calls: Feature = make_feature()
        self.regions: dict[str, str] = {}
        self.sent_for: dict[str, str] = {}
        self.voided: set[str] = set()
        self.allowed: list[str] = []
        self.repeats = 0

    def send(self, region: str, day: int, customer: str) -> None:
        at = NOON - day * DAY
        event_id = send(at=at, received_at=at, customer=customer, region=region)
        self.regions[event_id], self.sent_for[event_id] = region, customer
        process()

    def repeat(self, number: int) -> None:
        for event_id in self._one(number):
            send(event_id=event_id, customer=self.sent_for[event_id])
            assert process().duplicates == 1
            self.repeats += 1

    def seal(self, steps: int) -> None:
        for _ in range(steps):
            seal_next(now=LATER)

    def kill(self, point: str, when: str) -> None:
        with killed_at(point, when):
            self.seal(6)

    def void(self, number: int) -> None:
        for event_id in self._one(number):
            [event] = find_events([event_id])
            try:
                void_event(event, reason="Wrong", now=NOON)
            except AlreadyVoided:
                assert event_id in self.voided
            self.voided.add(event_id)

    def replay(self, number: int) -> None:
        for event_id in self._one(number):
            replay([event.pk for event in find_events([event_id])], closing="Again")

    def filter(self, regions: list[str]) -> None:
        self.allowed = regions
        self.calls.filters = {"region": regions} if regions else {}
        self.calls.save()
        replay_fixed_causes(now=NOON)

    def move(self, owner: str) -> None:
        """Move the alias to a customer, and with it the events that were sent for it."""
        previous, self.alias.customer = self.alias.customer, self.customers[owner]
        if previous != self.alias.customer:
            self.alias.to_recount = [previous.pk]
            self.alias.save()
            replay_fixed_causes(now=NOON)

    def unseal(self) -> None:
        for part in SealedPart.objects.exclude(state=PartState.REMOVED):
            assert unseal_part(part)

    def roll_up(self, day: int) -> None:
        roll_up(now=NOON - day * DAY)

    def _one(self, number: int) -> list[str]:
        ids = list(self.regions)
        return [ids[number % len(ids)]] if ids else []

    def check(self) -> None:
        """Compare with what must be true."""
        for name, customer in self.customers.items():
            counting = {event_id for event_id in self.regions if self._counts(event_id, name)}
            behind = [event.event_id for event in events_behind(customer.pk, self.calls, [PERIOD], most=1_000)]
            assert sorted(behind) == sorted(counting)
            assert usage(customer.pk, self.calls, PERIOD.start, PERIOD.end).value == len(counting)
        assert list(compare(Scope())) == []
        events = find_events(list(self.regions))
        assert [event.event_id for event in events] == list(self.regions)
        assert {event.event_id for event in events if event.state == EventState.VOIDED} == self.voided
        while compare_unread():
            pass
        assert sum(DuplicateEvent.objects.values_list("count", flat=True)) == self.repeats

    def _counts(self, event_id: str, customer: str) -> bool:
        owner = "acme" if self.sent_for[event_id] == "acme" else self.alias.customer.external_id
        is_allowed = not self.allowed or self.regions[event_id] in self.allowed
        return owner == customer and is_allowed and event_id not in self.voided


@contextmanager
def killed_at(point: str, when: str) -> Iterator[None]:
    """End the process the first time that a step begins, within its transaction, or after its commit."""
    real: Callable[..., object] = getattr(sealing, point)

    def killed(*args: object, **kwargs: object) -> object:
        with transaction.atomic():
            if when != "before":
                real(*args, **kwargs)
            if when != "after":
                raise KilledError
        raise KilledError

    setattr(sealing, point, killed)
    try:
        yield
    except KilledError:
        pass
    finally:
        setattr(sealing, point, real)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=3, max_size=12), rows=st.integers(1, 4))
def test_each_event_counts_once(history, settings, actions, rows):
    settings.SEAL_ROWS = rows
    with pytest.raises(UndoneError):
        run_and_undo(actions)


@transaction.atomic
def run_and_undo(actions: list[tuple[str, ...]]) -> None:
    world = World()
    for name, *arguments in actions:
        getattr(world, name)(*arguments)
    world.check()
    world.seal(50)
    world.check()
    raise UndoneError
