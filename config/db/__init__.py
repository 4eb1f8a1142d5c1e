"""Model fields that every app shares: exact numbers, currencies, public ids, timestamps."""

import secrets
from functools import partial
from typing import Any

import pgtrigger
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from config.inputs import NumberField

CURRENCY_CODE = RegexValidator(r"^[A-Z]{3}\Z", "Enter the currency as a three-letter ISO 4217 code, for example USD.")


class DecimalField(models.DecimalField):
    """An exact number, whose forms accept ASCII digits only."""

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": NumberField} | kwargs)


class NumericField(DecimalField):
    """An exact number of any size: PostgreSQL's unconstrained `numeric`, Python's `Decimal`. For quantities."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 400)
        kwargs.setdefault("decimal_places", 150)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: Any) -> str:
        return "numeric"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return value if prepared else self.get_prep_value(value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if hasattr(value, "as_sql"):
            return value
        return self.get_prep_value(value)


class AmountField(DecimalField):
    """An amount of money, already rounded to its currency. Four places hold every ISO 4217 currency."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 24)
        kwargs.setdefault("decimal_places", 4)
        super().__init__(*args, **kwargs)


class UnitPriceField(DecimalField):
    """A price of one unit, to twelve places; never rounded to the currency."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 30)
        kwargs.setdefault("decimal_places", 12)
        super().__init__(*args, **kwargs)


class CurrencyField(models.CharField):
    """An ISO 4217 code in capitals."""

    default_validators = [CURRENCY_CODE]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 3)
        super().__init__(*args, **kwargs)


def make_public_id(prefix: str) -> str:
    """Generate a public id such as `cust_5f0c…`: 96 random bits, so that ids don't reveal how many rows there are."""
    return f"{prefix}_{secrets.token_hex(12)}"


class PublicIdField(models.CharField):
    """The id in the API and in URLs. Primary keys stay internal, so pages call this the ID."""

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        self.prefix = prefix
        default = partial(make_public_id, prefix)
        kwargs.update(verbose_name="ID", max_length=40, unique=True, editable=False, default=default)
        super().__init__(**kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        for key in ("verbose_name", "max_length", "unique", "editable", "default"):
            kwargs.pop(key, None)
        return name, path, args, kwargs | {"prefix": self.prefix}


class Stamped(models.Model):
    """When the row was created (by the database's clock) and last saved (by the server's)."""

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


# Erasing personal data changes texts of rows that are frozen otherwise. Only functions of the owner do so.
UNLESS_ERASING = "IF TG_OP = 'UPDATE' AND is_erasing() THEN RETURN NEW; END IF;"


def protect_unless_erasing(
    name: str, operation: Any, condition: pgtrigger.Condition | None = None
) -> pgtrigger.Trigger:
    """Create a trigger as `pgtrigger.Protect` does, which lets personal data be erased."""
    return pgtrigger.Trigger(
        name=name,
        operation=operation,
        when=pgtrigger.Before,
        condition=condition,
        func=f"""
            {UNLESS_ERASING}
            RAISE EXCEPTION 'rows of % never change so', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        """,
    )


def keep_rows() -> pgtrigger.Trigger:
    """Create a trigger that refuses TRUNCATE, which would bypass the triggers that protect the table's rows.

    A session with `SET countinghouse.allow_truncate = 'on'` can truncate: only tests and benchmarks set it.
    """
    return pgtrigger.Trigger(
        name="keep_rows",
        level=pgtrigger.Statement,
        operation=pgtrigger.Truncate,
        when=pgtrigger.Before,
        func="""
            IF current_setting('countinghouse.allow_truncate', true) IS DISTINCT FROM 'on' THEN
                RAISE EXCEPTION '% is never emptied', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NULL;
        """,
    )
