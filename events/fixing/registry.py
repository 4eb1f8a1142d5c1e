"""The fixes by their names, as addresses and background work hold them."""

from collections.abc import Mapping

from events.fixing import actions, selling
from events.fixing.base import Action, FixRefused

ACTIONS: dict[str, type[Action]] = {
    action.name: action
    for action in (
        *(actions.CreateCustomer, actions.MapCustomer, actions.ActivateCustomer),
        *(actions.MapEventName, actions.ActivateFeature, actions.AcceptNumericStrings, actions.CountEarlier),
        *(actions.Replay, actions.ReplayCause),
        *(selling.AddToPlan, selling.CreateSubscription),
    )
}


def make_action(name: str, given: Mapping[str, str]) -> Action:
    """Make the action of a fix from its parameters. Raises FixRefused for a name that there isn't."""
    if name not in ACTIONS:
        raise FixRefused("There is no such fix.")
    return ACTIONS[name](given)
