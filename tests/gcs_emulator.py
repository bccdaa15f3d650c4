"""As much of Cloud Storage's JSON API as `pipeline.dataset.stores` uses, on a local port: objects, generations, conditions.

https://cloud.google.com/storage/docs/json_api/v1/objects: get (metadata, or `alt=media`), and insert by a multipart upload; 404
where there is no object, 412 where a condition does not hold.
"""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.parse
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    objects: dict[str, tuple[bytes, int]]
    lock: threading.Lock

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        name = urllib.parse.unquote(url.path.partition("/o/")[2])  # empty: of the bucket, which is not described here
        with self.lock:
            data, generation = self.objects.get(name, (b"", 0))
        if not generation:
            self._answer(404, b"{}")
        elif int(query.get("ifGenerationMatch", [generation])[0]) != generation:
            self._answer(412, b"{}")
        elif query.get("alt") == ["media"]:
            self._answer(200, data)
        else:
            self._answer(200, self._metadata(name, generation, data))

    def do_POST(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        whole = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body
        parts: Any = BytesParser().parsebytes(whole).get_payload()
        described, content = parts
        name = json.loads(described.get_payload())["name"]
        with self.lock:
            before = self.objects.get(name, (b"", 0))[1]
            if int(query.get("ifGenerationMatch", [before])[0]) != before:
                return self._answer(412, b"{}")
            generation = max([1000, *(g for _, g in self.objects.values())]) + 1
            self.objects[name] = (content.get_payload(decode=True), generation)
        self._answer(200, self._metadata(name, generation, self.objects[name][0]))

    def _metadata(self, name: str, generation: int, data: bytes) -> bytes:
        return json.dumps({"name": name, "bucket": "b", "generation": str(generation), "size": str(len(data))}).encode()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """Yields the address of an empty store, as `STORAGE_EMULATOR_HOST` names it, while the block runs."""
    handler = type("Handler", (_Handler,), {"objects": {}, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
