"""AWS and a model that answer at once, in a process of their own: what is left is ours.

Knows just enough: items are kept and read back by `pk` and `sk`, updates change nothing and
return the item, sending always succeeds, the model always says the same. Remembers each request,
which GET /requests returns and forgets.
"""

import json
import socketserver
from http import HTTPStatus
from typing import Any

COMPLETION = json.dumps(
    {
        "choices": [
            {"message": {"content": "Thank you, we answer soon."}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 200, "completion_tokens": 8},
    }
)
SENT = {"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "MD5OfMessageBody": ""}


class Stub(socketserver.ThreadingTCPServer):
    """The server, its items and the requests that it has seen."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.items: dict[tuple[str, ...], object] = {}
        self.requests: list[tuple[str, str]] = []

    def answer(self, target: str, body: str) -> str:
        """Return the answer to a request. Its target is `X-Amz-Target`, or the path without it."""
        if target == "/requests":
            seen, self.requests = self.requests, []
            return json.dumps(seen)
        self.requests.append((target, body))
        if target.endswith("/chat/completions"):
            return COMPLETION
        answer: dict[str, object] = {}
        request = json.loads(body)
        match target.partition(".")[2]:
            case "PutItem":
                self._put(request)
            case "TransactWriteItems":
                for action in request["TransactItems"]:
                    self._put(action["Put"])
            case "GetItem" if (item := self.items.get(_key(request, "Key"))) is not None:
                answer = {"Item": item}
            case "UpdateItem" if (item := self.items.get(_key(request, "Key"))) is not None:
                answer = {"Attributes": item}
            case "SendMessage":
                answer = dict(SENT)
            case _:
                pass
        return json.dumps(answer)

    def _put(self, request: dict[str, Any]) -> None:
        self.items[_key(request, "Item")] = request["Item"]


def _key(request: dict[str, Any], of: str) -> tuple[str, ...]:
    attributes = request[of]
    return (
        request["TableName"],
        *(attributes[key]["S"] for key in ("pk", "sk") if key in attributes),
    )


class Connection(socketserver.StreamRequestHandler):
    """One kept-alive connection; http.server would take longer than what is measured."""

    wbufsize = -1
    disable_nagle_algorithm = True
    server: Stub

    def handle(self) -> None:
        """Answer requests until the client closes."""
        while request_line := self.rfile.readline():
            target = request_line.split(b" ")[1]
            length = 0
            while (header := self.rfile.readline()) not in {b"\r\n", b""}:
                name, _, value = header.partition(b":")
                match name.lower():
                    case b"content-length":
                        length = int(value)
                    case b"x-amz-target":
                        target = value.strip()
                    case _:
                        pass
            body = self.rfile.read(length).decode()
            answer = self.server.answer(target.decode(), body).encode()
            self.wfile.write(
                b"HTTP/1.1 %d OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (HTTPStatus.OK, len(answer), answer)
            )
            self.wfile.flush()


if __name__ == "__main__":
    with Stub() as stub:
        print(stub.server_address[1], flush=True)
        stub.serve_forever()
