"""ClickHouse's own engine behind HTTP, as far as its Python client asks: `python -m tests.clickhouse PORT FOLDER`."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb.session

NOT_SETTINGS = {"query", "database", "session_id", "query_id", "client_protocol_version", "wait_end_of_query"}


class Handler(BaseHTTPRequestHandler):
    """Run one statement for each request, with the settings of its address."""

    protocol_version = "HTTP/1.1"
    session: "chdb.session.Session"

    def do_GET(self) -> None:
        self.answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        values = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.read_body().decode()
        statement = f"{values['query']}\n{body}" if "query" in values else body
        try:
            self.session.query(f"USE {values.get('database', 'default')}")
            for name, value in values.items():
                if name not in NOT_SETTINGS:
                    self.session.query(f"SET {name} = '{value}'")
            self.answer(200, self.session.query(statement, "TabSeparated").bytes())
        except RuntimeError as error:
            self.answer(500, str(error).encode())

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        blocks = []
        while size := int(self.rfile.readline(), 16):
            blocks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(blocks)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status != 200:
            self.send_header("X-ClickHouse-Exception-Code", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the overridden method
        pass


if __name__ == "__main__":
    Handler.session = chdb.session.Session(sys.argv[2])
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
