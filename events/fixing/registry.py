"""The fixes by name, as used in URLs and background runs."""

from collections.abc import Mapping

from events.fixing import actions, properties, selling
from events.fixing.base import Action, FixRefused

ACTIONS: dict[str, type[Action]] = {
    action.name: action
    for action in (
        *(actions.CreateCustomer, actions.MapCustomer, actions.ActivateCustomer),
        *(actions.MapEventName, actions.ActivateFeature, actions.AcceptNumericStrings, actions.CountEarlier),
        *(actions.Replay, actions.ReplayCause),
        *(properties.AliasProperty, properties.ExtendFilter),
        *(selling.AddToPlan, selling.CreateSubscription),
    )
}


def make_action(name: str, parameters: Mapping[str, str]) -> Action:
    """Create a fix's action from its parameters. Raises FixRefused if no fix has the name."""
    if name not in ACTIONS:
        raise FixRefused("This fix doesn't exist.")
    return ACTIONS[name](parameters)
