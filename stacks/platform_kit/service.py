"""Runs inside the pods, in place of a team's real service. Standard library only.

It answers on its ports, calls the services that it depends on, and is ready once each of them has answered.

PORTS: numbers, separated by commas. CALLS: URLs, separated by spaces; one that starts with "api:" is a path of the
Kubernetes API, asked for with the pod's own token. NEEDS: files that must be there, separated by spaces.
"""

import json
import os
import signal
import socket
import ssl
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAME = os.environ["NAME"]
pending = set(os.environ.get("CALLS", "").split()) | set(os.environ.get("NEEDS", "").split())


class Handler(BaseHTTPRequestHandler):
    """Says who answers; /ready is 503 until everything that is called has answered once."""

    def do_GET(self) -> None:
        ready = not pending
        body = json.dumps({"service": NAME, "ready": ready, "waits_for": sorted(pending)}).encode()
        self.send_response(200 if ready or self.path != "/ready" else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Probes come each second: no line for each of them."""


class Server(ThreadingHTTPServer):
    """Answers by both address families: which of them its pod has is the cluster's business."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        """IPv4 too, where the socket is one of IPv6."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def call(target: str) -> None:
    """Ask once, or look for the file; OSError if there is no answer or no file."""
    if target.startswith("/"):
        Path(target).read_bytes()
    elif target.startswith("api:"):
        host = os.environ["KUBERNETES_SERVICE_HOST"]
        server = f"https://{f'[{host}]' if ':' in host else host}:{os.environ['KUBERNETES_SERVICE_PORT']}"
        headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        request = urllib.request.Request(server + target.removeprefix("api:"), headers=headers)
        urllib.request.urlopen(request, timeout=2, context=context).read()
    else:
        urllib.request.urlopen(target, timeout=2).read()


def keep_calling(target: str) -> None:
    """Quickly until the first answer, then now and then, as a real client would."""
    while True:
        try:
            call(target)
        except OSError as error:
            print(f"{target}: {error}", flush=True)
            time.sleep(0.3)
        else:
            pending.discard(target)
            time.sleep(10)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
for target in tuple(pending):
    threading.Thread(target=keep_calling, args=(target,), daemon=True).start()
servers = [Server(("", int(port)), Handler) for port in os.environ["PORTS"].split(",")]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
