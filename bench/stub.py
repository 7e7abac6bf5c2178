"""AWS and a model that answer at once, in a process of their own; the rest of the time is ours.

Items are kept and read back by `pk` and `sk`. Updates change nothing, and return the item as if
it had ended. The model always says the same. GET returns the requests since the last GET, and GET
of /close closes all connections of TLS, as a peer does while an instance of Lambda is frozen.

`python -m bench.stub <a PEM file with certificate and key>` prints its ports, without and with TLS.
"""

import json
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

SLOW = "slow-"
"""The model that answers after as many seconds as its name says."""
ANY_TIME = {"N": "1794301200000"}
SENT = {"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "MD5OfMessageBody": ""}


EMPTY: dict[str, object] = {
    "BatchGetItem": {"Responses": {}, "UnprocessedKeys": {}},
    "PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]},
    "Query": {"Items": [], "Count": 0, "ScannedCount": 0},
}
"""The same answer to any request of an operation."""


class Stub(ThreadingHTTPServer):
    """The server, its items and the requests that it has seen."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self._items: dict[tuple[str, ...], dict[str, Any]] = {}
        self.seen: list[tuple[str, str]] = []
        self.secure: list[Tls] = []

    def answer(self, target: str, body: str) -> object:  # noqa: C901 - a case an operation
        """Return the answer to a request of AWS's JSON protocols, or to one for a completion."""
        self.seen.append((target, body))
        request: dict[str, Any] = json.loads(body)
        match target.partition(".")[2]:
            case "PutItem":
                self._put(request)
            case "TransactWriteItems":
                for action in request["TransactItems"]:
                    if "Put" in action:
                        self._put(action["Put"])
            case "GetItem" if (item := self._items.get(_key(request, "Key"))) is not None:
                return {"Item": item}
            case "UpdateItem" if (item := self._items.get(_key(request, "Key"))) is not None:
                return {"Attributes": _ended(item, request["UpdateExpression"])}
            case operation if operation in EMPTY:
                return EMPTY[operation]
            case "SendMessage":
                return SENT
            case "ReceiveMessage":
                time.sleep(request["WaitTimeSeconds"])
            case "":
                return _completion(request)
            case _:
                pass
        return {}

    def _put(self, request: dict[str, Any]) -> None:
        self._items[_key(request, "Item")] = request["Item"]


def _ended(item: dict[str, Any], update: str) -> dict[str, Any]:
    """Return the item as if it had ended; dispatched, where the update takes its due time out."""
    kept = {name: value for name, value in item.items() if name != "due_at"}
    dispatched = "#due_at" in update and "#due_at =" not in update
    left = {} if dispatched else {"due_at": ANY_TIME}
    return {**kept, **left, "finished_at": ANY_TIME}


def _completion(request: dict[str, Any]) -> object:
    model = request.get("model", "")  # a webhook's receiver is asked for none
    if model.startswith(SLOW):
        time.sleep(float(model.removeprefix(SLOW)))
    content = "Thank you, we answer soon."
    if "response_format" in request:
        schema = request["response_format"]["json_schema"]["schema"]
        content = json.dumps(dict.fromkeys(schema["properties"], content))
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 200, "completion_tokens": 8}}


def _key(request: dict[str, Any], holder: str) -> tuple[str, ...]:
    attributes = request[holder]
    values = (attributes[name]["S"] for name in ("pk", "sk") if name in attributes)
    return (request["TableName"], *values)


class Tls(ThreadingHTTPServer):
    """The same stub by TLS, with its open connections."""

    daemon_threads = True

    def __init__(self, stub: Stub, certificate: str) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self._stub = stub
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._open: list[socket.socket] = []
        self.handshakes = 0
        stub.secure.append(self)

    def answer(self, target: str, body: str) -> object:
        """Return the stub's answer."""
        return self._stub.answer(target, body)

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread: others are served meanwhile."""
        try:
            connection = self._context.wrap_socket(request, server_side=True)
        except OSError:
            request.close()
            return
        self.handshakes += 1
        self._open.append(connection)
        super().process_request_thread(connection, client_address)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke: the measured process says so."""

    def close_connections(self) -> None:
        """Close all connections, without a word of TLS."""
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)


class Connection(BaseHTTPRequestHandler):
    """One connection, kept open."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write per answer: two would wait for each other (Nagle)
    server: Stub | Tls

    def do_POST(self) -> None:
        """Answer AWS and completion requests."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._send(self.server.answer(self.headers.get("X-Amz-Target", self.path), body))

    def do_GET(self) -> None:
        """Answer with the requests seen since the last time, or close what is open."""
        if isinstance(self.server, Tls):
            self._send({})
            return
        if self.path == "/close":
            for server in self.server.secure:
                server.close_connections()
        seen, self.server.seen = self.server.seen, []
        self._send(seen)

    def _send(self, answer: object) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


if __name__ == "__main__":
    with Stub() as stub, Tls(stub, sys.argv[1]) as tls:
        threading.Thread(target=tls.serve_forever, daemon=True).start()
        print(stub.server_port, tls.server_port, flush=True)
        stub.serve_forever()
