"""Lookups for whole batches of rows."""

from typing import Any

from django.db.models import Field, Lookup
from django.db.models.fields.related import ForeignObject


class Among(Lookup):
    """`pk__among=ids`: what `pk__in=ids` finds, with all ids as one parameter.

    `in` makes a parameter of each, and for thousands that takes longer than the query itself. Integers only, and no
    query for them: `TypeError`.
    """

    lookup_name = "among"
    prepare_rhs = False

    def get_prep_lookup(self) -> str:
        return f"{{{','.join(map(str, map(int, self.rhs)))}}}"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", (*parameters, self.rhs)


def register() -> None:
    """Make the lookup known to all columns, also references. A second call changes nothing."""
    Field.register_lookup(Among)
    ForeignObject.register_lookup(Among)
