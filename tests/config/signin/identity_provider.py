"""A small identity provider (OpenID Connect) on loopback, for tests."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = f"http://{self.headers['Host']}"
        if self.path.endswith("/.well-known/openid-configuration"):
            self._answer(
                {
                    "issuer": issuer,
                    "authorization_endpoint": f"{issuer}/authorize",
                    "token_endpoint": f"{issuer}/token",
                    "userinfo_endpoint": f"{issuer}/userinfo",
                    "jwks_uri": f"{issuer}/keys",
                }
            )
        else:
            self._answer(self.server.person)  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_known = "code=right" in sent and "code_verifier=" in sent
        token = {"access_token": "token", "token_type": "Bearer", "expires_in": 60}
        self._answer(token if is_known else {"error": "invalid_grant"}, 200 if is_known else 400)

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Keep the tests' output clean."""


@contextmanager
def identity_provider(person: dict[str, Any]) -> Iterator[str]:
    """Yield the address of a provider that says that anyone with the code "right" is the person."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.person = person  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
