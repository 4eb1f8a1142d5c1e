"""Lookups for large batches of rows."""

from typing import Any

from django.db.models import Field, Lookup
from django.db.models.fields.related import ForeignObject


class Among(Lookup):
    """`pk__among=ids` filters like `pk__in=ids`, with all ids in one parameter.

    `in` has one parameter for each id, which for thousands of ids takes longer than the query. `ids` are integers, not
    a query: `TypeError`.
    """

    lookup_name = "among"
    prepare_rhs = False

    def get_prep_lookup(self) -> str:
        return f"{{{','.join(map(str, map(int, self.rhs)))}}}"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", (*parameters, self.rhs)


def register() -> None:
    """Register the lookup for all columns, including foreign keys. Safe to repeat."""
    Field.register_lookup(Among)
    ForeignObject.register_lookup(Among)
