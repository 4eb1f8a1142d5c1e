"""The sign-in form, and the admin's look for the forms of django-allauth."""

from typing import Any

from allauth.account.forms import LoginForm
from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

WIDGETS: tuple[tuple[type[forms.Widget], type[forms.Widget]], ...] = (
    (forms.PasswordInput, UnfoldAdminPasswordWidget),
    (forms.TextInput, UnfoldAdminTextInputWidget),
    (forms.CheckboxInput, UnfoldBooleanWidget),
)


class SignInForm(LoginForm):
    """A username or email address, and a password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = "Username or email address"
        self.fields["login"].widget.attrs["autocomplete"] = "username"
        self.fields["login"].max_length = 254
        self.fields["password"].help_text = ""


def style[Form: forms.BaseForm](form: Form) -> Form:
    """Give the form's fields Unfold's widgets, and the keyboard to the first of them."""
    for field in form.fields.values():
        attributes = {key: value for key, value in field.widget.attrs.items() if key != "placeholder"}
        for plain, styled in WIDGETS:
            if type(field.widget) is plain:
                field.widget = styled(attrs=attributes)
    shown = [field for field in form.fields.values() if not field.widget.is_hidden]
    if shown:
        shown[0].widget.attrs["autofocus"] = True
    return form
