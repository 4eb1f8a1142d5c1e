"""How colleagues sign in: password, passkey or identity provider, the second factor, sessions, and the sign-in log."""
