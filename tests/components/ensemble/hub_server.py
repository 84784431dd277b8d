"""As much of the Hugging Face hub's HTTP interface as a download needs."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.components.ensemble.hub_cache import NAME


class _Hub(BaseHTTPRequestHandler):
    """Serves one commit of NAME, which is its branch main."""

    commit: str
    files: Mapping[str, bytes]
    sent: list[str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].replace("%2F", "/")
        if path in (f"/api/models/{NAME}{end}" for end in ("", f"/revision/{self.commit}")):
            self._json({"id": NAME, "sha": self.commit})
        elif path == f"/api/models/{NAME}/tree/{self.commit}":
            self._json([{"type": "file", "path": n, **_blob(c)} for n, c in self.files.items()])
        elif path.startswith(f"/{NAME}/resolve/{self.commit}/"):
            self._file(path.rpartition("/")[2])
        else:
            self._reply(404, b"", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815

    def _json(self, content: object) -> None:
        self._reply(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str) -> None:
        if self.command == "GET":
            self.sent.append(name)
        content = self.files[name]
        etag = str(_blob(content)["oid"])
        self._reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": self.commit})

    def _reply(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serve_hub(commit: str, files: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Gives the endpoint, and the names of the files that were sent."""
    sent: list[str] = []
    handler = type("Hub", (_Hub,), {"commit": commit, "files": files, "sent": sent})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()


def _blob(content: bytes) -> dict[str, str | int]:
    return {"oid": hashlib.sha1(content).hexdigest(), "size": len(content)}
