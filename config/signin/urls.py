"""Addresses of the sign-in, all below /admin/login/, and of a colleague's own settings, below /admin/account/.

The names are those that django-allauth's views lead to.
"""

from allauth.socialaccount.providers.openid_connect import views as provider_views
from django.contrib import admin
from django.urls import path

from config.signin import pages

guarded = admin.site.admin_view

urlpatterns = [
    path("login/", pages.SignIn.as_view(), name="account_login"),
    path("login/code/", pages.SecondFactor.as_view(), name="mfa_authenticate"),
    path("login/passkey/", pages.SignInByPasskey.as_view(), name="mfa_login_webauthn"),
    path("login/confirm/", guarded(pages.ConfirmByPassword.as_view()), name="account_reauthenticate"),
    path("login/confirm/code/", guarded(pages.ConfirmByCode.as_view()), name="mfa_reauthenticate"),
    path("login/confirm/passkey/", guarded(pages.ConfirmByPasskey.as_view()), name="mfa_reauthenticate_webauthn"),
    path("login/confirm/again/", guarded(pages.SignInAgain.as_view()), name="sign_in_again"),
    path("login/oidc/<slug:provider_id>/", pages.start_at_provider, name="openid_connect_login"),
    path("login/oidc/<slug:provider_id>/callback/", provider_views.callback, name="openid_connect_callback"),
    path("logout/", pages.Leave.as_view(), name="account_logout"),
    path("account/", pages.Security.for_site(admin.site), name="mfa_index"),
    path("account/sessions/end/", pages.EndSessions.for_site(admin.site), name="end_sessions"),
    path("account/app/", guarded(pages.AddApp.as_view()), name="mfa_activate_totp"),
    path("account/app/remove/", guarded(pages.RemoveApp.as_view()), name="mfa_deactivate_totp"),
    path("account/passkeys/add/", guarded(pages.AddPasskey.as_view()), name="mfa_add_webauthn"),
    path("account/passkeys/<int:pk>/remove/", guarded(pages.RemovePasskey.as_view()), name="mfa_remove_webauthn"),
    path("account/codes/", guarded(pages.RecoveryCodes.as_view()), name="mfa_view_recovery_codes"),
    path("account/codes/new/", guarded(pages.NewRecoveryCodes.as_view()), name="mfa_generate_recovery_codes"),
]
