"""The only way to the API server: requests with a deadline, watches instead of polls, exec over one WebSocket.

Transport and authentication are the official client's; on top of it this module answers with the *status*, also where
it is 403 or 404, because a probe has to tell them apart and an exception would hide which it was.

The client is imported once there is a server to ask: that alone takes longer than to collect all controls.
"""

from __future__ import annotations

import copy
import json
import os
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack
from urllib.parse import urlencode, urlsplit

from pytest_k8ssec.errors import ClusterError, ProbeError
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.machine.proxies import is_loopback

if TYPE_CHECKING:
    import urllib3
    from kubernetes import client
    from kubernetes.stream.ws_client import WSClient

    from pytest_k8ssec.clusters.exec_session import ExecSession

Body = dict[str, JSON]
Items = list[Body]

FIELD_MANAGER = "k8ssec"
"""By this ``metadata.managedFields`` tells what this package has written, in whatever run.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
"""
_PAGE = "500"
"""As many objects as kubectl asks for at a time."""
_WATCH_READ_SECONDS = 10.0
"""A server that is busy has so long for the first word of a watch, also of a short one."""
_NO_HOST = "none.invalid"
"""An exception from a proxy that excepts nothing."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the API server, whatever its status."""

    status: int
    body: Body
    latency_ms: float
    data: bytes = field(default=b"", repr=False)
    """The body as it came: a log is no JSON."""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """The ``message`` of a Status object, "" for any other body."""
        return str(self.body.get("message", "")) if self.body.get("kind") == "Status" else ""

    @property
    def reason(self) -> str:
        """The ``reason`` of a Status object (``Forbidden``, ``NotFound``, ...), "" for any other body."""
        return str(self.body.get("reason", "")) if self.body.get("kind") == "Status" else ""


class RequestOptions(TypedDict, total=False):
    """What :meth:`KubeApi.request` takes besides method and path."""

    body: Body | Sequence[JSON] | None
    params: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    token: str | None
    deadline: float


class KubeApi:
    """Client of one API server, authenticated by one kubeconfig context; safe to share between threads.

    Args:
        kubeconfig: the file; the user's own one and ``KUBECONFIG`` are never read.
        context: name of the context, or None for the file's current one.
        made: called with the path and the uid of each object that a request has created.
        server: URL of another API server than the context's, that has the same CA; "" for the context's.
        certificate: PEM of a client certificate and its key, to be shown instead of the kubeconfig's credentials.
    """

    def __init__(
        self,
        kubeconfig: Path,
        context: str | None = None,
        made: Callable[[str, str], None] | None = None,
        *,
        server: str = "",
        certificate: str = "",
    ) -> None:
        import yaml
        from kubernetes import client, config

        self._kubeconfig, self._context, self._made = kubeconfig, context, made
        self.created: set[str] = set()
        """Uids of the objects that requests have created."""
        self._configuration = client.Configuration()
        self._configuration.proxy = ""  # not the environment's: only the kubeconfig may name one
        try:
            config.load_kube_config(str(kubeconfig), context, self._configuration, persist_config=False)
        except (config.ConfigException, OSError) as error:
            raise ClusterError(f"kubeconfig {kubeconfig}: {error}") from error
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
            raise ClusterError(f"kubeconfig {kubeconfig}: is not valid") from error  # its words may be a key's
        self._configuration.host = server or self._configuration.host
        _choose_way(self._configuration)
        if certificate:
            path = _in_memory(certificate, self)
            self._configuration.cert_file = self._configuration.key_file = path
            self._configuration.api_key, self._configuration.refresh_api_key_hook = {}, None
        self._client = client.ApiClient(self._configuration)
        self._paths: dict[tuple[str, str], tuple[str, bool]] = {}
        self._lock = threading.Lock()

    def as_holder_of(self, pem: str) -> KubeApi:
        """The same API server, to which nothing is shown but a client certificate that was found somewhere.

        Args:
            pem: the certificate and its key.

        Raises:
            ClusterError: nobody can show them: they don't match, or the key is too weak for TLS.
        """
        return KubeApi(self._kubeconfig, self._context, server=self.server, certificate=pem)

    def _authorization(self) -> dict[str, str]:
        """The header that carries our own credentials, where they are a token and no client certificate."""
        setting = self._configuration.auth_settings().get("BearerToken")
        return {str(setting["key"]): str(setting["value"])} if setting else {}

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._configuration.host)

    def at(self, server: str) -> KubeApi:
        """A client of another API server of the same cluster, by the same credentials and the same CA.

        Args:
            server: its URL.
        """
        other = KubeApi(self._kubeconfig, self._context, self._made, server=server)
        other.created = self.created
        return other

    @property
    def ca_file(self) -> Path:
        """File with the certificate authority of the API server, PEM."""
        return Path(str(self._configuration.ssl_ca_cert))

    @cached_property
    def _bare(self) -> urllib3.PoolManager:
        """Connections that verify the server, go the same way, and carry no credentials."""
        from kubernetes import client

        bare = copy.deepcopy(self._configuration)
        bare.cert_file = bare.key_file = None
        bare.api_key = {}
        return client.ApiClient(bare).rest_client.pool_manager

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | Sequence[JSON] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        deadline: float = 15,
    ) -> Response:
        """Send one request and return what came back.

        Args:
            path: absolute, ``/api/v1/namespaces``.
            body: sent as JSON.
            token: a bearer token to use *instead of* our own credentials; "" sends none at all (anonymous).
            deadline: seconds for one try. A GET whose connection breaks, or that is not answered, is tried once more;
                one that is refused, or put off with ``Retry-After``, twice.

        Raises:
            ClusterError: no HTTP answer came.
        """
        import urllib3

        send = dict(headers or {})
        if token is None:
            pool = self._client.rest_client.pool_manager
            send.update(self._authorization())
        else:
            pool = self._bare
            if token:
                send["Authorization"] = f"Bearer {token}"
        if body is not None:
            send.setdefault("Content-Type", "application/json")
        send.setdefault("Accept", "application/json")
        send.setdefault("User-Agent", FIELD_MANAGER)  # its beginning is what the API server calls who wrote a field
        url = self.server + path + (f"?{urlencode(params)}" if params else "")
        started = time.monotonic()
        try:
            answer = pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=send,
                timeout=urllib3.Timeout(total=deadline),
                retries=urllib3.Retry(0, redirect=False)
                if method != "GET"
                else urllib3.Retry(total=2, connect=2, read=1, redirect=False),
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"{method} {url}: no answer: {error}") from error
        latency = (time.monotonic() - started) * 1000
        response = Response(answer.status, _decode(answer.data), latency, answer.data)
        if method == "POST" and response.status == 201 and "dryRun" not in (params or {}):
            meta = response.body.get("metadata") or {}
            if meta.get("uid"):  # a review has none: nothing came to be
                self.created.add(meta["uid"])
                if self._made:
                    self._tell_made(f"{path}/{meta['name']}", meta["uid"])
        return response

    def _tell_made(self, path: str, uid: str) -> None:
        """Tell of an object; what nobody could write down is taken back."""
        assert self._made is not None
        try:
            self._made(path, uid)
        except BaseException:
            self.delete(path, uid=uid, grace=0)
            raise

    def call(self, method: str, path: str, **options: Unpack[RequestOptions]) -> Body:
        """Like :meth:`request`, but any status other than 2xx is a ClusterError.

        Raises:
            ClusterError: no answer, or one that is not 2xx.
        """
        answer = self.request(method, path, **options)
        if not answer.ok:
            raise ClusterError(f"{method} {path}: HTTP {answer.status}: {answer.message or answer.reason}")
        return answer.body

    def get(self, path: str, **params: str) -> Body:
        """The object or list at ``path``. Raises ClusterError unless the answer is 2xx."""
        return self.call("GET", path, params=params)

    def list(self, path: str, **params: str) -> Items:
        """The items of the list at ``path``, got page by page: thousands in one answer take long, and much memory at once.

        Raises:
            ClusterError: an answer is not 2xx.
        """
        found: Items = []
        asked = {"limit": _PAGE, **params}
        while True:
            page = self.get(path, **asked)
            items = page.get("items")
            found += items if isinstance(items, list) else []
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return found
            asked["continue"] = more

    def path(self, api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
        """The URL path of an object, or of its collection where ``name`` is "", found by discovery.

        Raises:
            ClusterError: the server knows no such kind.
        """
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        with self._lock:
            if (api_version, kind) not in self._paths:
                for resource in self.get(root).get("resources", []):
                    if "/" not in resource["name"]:
                        self._paths[api_version, resource["kind"]] = (resource["name"], resource["namespaced"])
            if (api_version, kind) not in self._paths:
                raise ClusterError(f"{kind} in {api_version}: the API server does not serve it")
            plural, namespaced = self._paths[api_version, kind]
        scope = f"/namespaces/{namespace}" if namespaced else ""
        return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")

    def path_of(self, manifest: Body, *, collection: bool = False) -> str:
        """The URL path of a manifest's object, or of the collection that it is created in."""
        meta = manifest["metadata"]
        name = "" if collection else meta["name"]
        return self.path(manifest["apiVersion"], manifest["kind"], meta.get("namespace", "default"), name)

    def create(self, manifest: Body, **params: str) -> Body:
        """Create an object. Raises ClusterError unless the answer is 2xx."""
        return self.call("POST", self.path_of(manifest, collection=True), body=manifest, params=params)

    def delete(self, path: str, *, grace: int | None = None, uid: str = "") -> bool:
        """Delete an object, and its dependents in the background; one that is gone already is no error.

        Args:
            uid: of the object that is meant; another one of that name stays. "" for whichever has the name.

        Returns:
            whether it was there.

        Raises:
            ClusterError: any answer but 2xx, 404, and with a uid 409.
        """
        body: Body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if uid:
            body["preconditions"] = {"uid": uid}
        answer = self.request("DELETE", path, body=body)
        if not answer.ok and answer.status not in ((404, 409) if uid else (404,)):
            raise ClusterError(f"DELETE {path}: HTTP {answer.status}: {answer.message}")
        return answer.ok

    @contextmanager
    def applied(self, *manifests: Body) -> Iterator[Items]:
        """Create objects, and delete them again at the end, last first, in every ending.

        Raises:
            ClusterError: one could not be created or deleted; those created before it are deleted.
        """
        made: Items = []
        try:
            for manifest in manifests:
                made.append(self.create(manifest))
            yield made
        finally:
            for item in reversed(made):
                self.delete(self.path_of(item), grace=0)

    def watch(self, path: str, *, deadline: float, **params: str) -> Iterator[tuple[str, Body]]:
        """The objects of a collection as they are, then each change, until the deadline.

        Yields ``("ADDED" | "MODIFIED" | "DELETED", object)``; ends silently at the deadline, so the caller decides
        what that means. A watch that the server ends early is continued.

        Raises:
            ClusterError: the list or the watch was refused.
        """
        end = time.monotonic() + deadline
        while (left := end - time.monotonic()) > 0:
            listing = self.get(path, **params)
            for item in listing.get("items", []):
                yield "ADDED", item
            version = listing.get("metadata", {}).get("resourceVersion", "")
            yield from self._watch_from(path, version, left, params)

    def _watch_from(
        self, path: str, version: str, seconds: float, params: Mapping[str, str]
    ) -> Iterator[tuple[str, Body]]:
        import urllib3

        query = {**params, "watch": "1", "resourceVersion": version, "timeoutSeconds": str(max(1, int(seconds)))}
        headers = {"Accept": "application/json", **self._authorization()}
        url = f"{self.server}{path}?{urlencode(query)}"
        try:
            answer = self._client.rest_client.pool_manager.request(
                "GET",
                url,
                headers=headers,
                preload_content=False,
                retries=False,
                timeout=urllib3.Timeout(connect=5, read=max(seconds + 1, _WATCH_READ_SECONDS)),
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"watch {path}: no answer: {error}") from error
        try:
            if answer.status != 200:
                raise ClusterError(f"watch {path}: HTTP {answer.status}")
            pending = b""
            for chunk in answer.stream(2**16, decode_content=True):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # the version has expired: list again
                        return
                    yield event["type"], event["object"]
        except urllib3.exceptions.HTTPError:
            return  # cut off: the caller's loop lists again while there is time
        finally:
            answer.close()

    def wait(
        self, path: str, name: str, ready: Callable[[Body | None], bool], *, deadline: float, what: str
    ) -> Body | None:
        """Wait until one object of a collection satisfies ``ready``, and return it (None: it is gone).

        Args:
            path: the collection's path.
            ready: called with the object at each change, and with None once it is deleted or not there at first.
            what: completes the error, ``pod web/x: not ready``.

        Raises:
            ClusterError: the deadline came first; a timeout is an error.
        """
        if ready(None) and self.request("GET", f"{path}/{name}").status == 404:
            return None
        for kind, item in self.watch(path, deadline=deadline, fieldSelector=f"metadata.name={name}"):
            now = None if kind == "DELETED" else item
            if ready(now):
                return now
        raise ClusterError(f"{what} within {deadline:g} s")

    def _opened(self, url: str, where: str, deadline: float) -> WSClient:
        """An open WebSocket. The client's handshake has no deadline, so a thread makes it, which may be left behind.

        Raises:
            ProbeError: the deadline came first.
        """
        from kubernetes.stream.ws_client import WSClient

        opened: Future[WSClient] = Future()

        def connect() -> None:
            try:
                socket = WSClient(self._configuration, url, self._authorization(), capture_all=False, binary=True)
            except Exception as error:  # noqa: BLE001 - in a thread: raised where it is waited for
                if opened.set_running_or_notify_cancel():
                    opened.set_exception(error)
                return
            if opened.set_running_or_notify_cancel():
                opened.set_result(socket)
            else:
                socket.sock.shutdown()

        threading.Thread(target=connect, daemon=True, name="k8ssec-exec").start()
        wait([opened], deadline)
        if opened.cancel():
            raise ProbeError(f"{where}: did not begin within {deadline:g} s")
        return opened.result()

    def exec(
        self,
        namespace: str,
        pod: str,
        argv: Sequence[str],
        *,
        container: str = "",
        stdin: bytes = b"",
        deadline: float = 20,
        heard: Callable[[bytes], None] | None = None,
    ) -> Completed:
        """Run a command in a container of a pod, over one WebSocket.

        Standard input is not closed at its end: the command must know how much to read.

        Args:
            heard: called with what comes on standard output, as it comes.

        Raises:
            ProbeError: the exec was refused, broke off, or did not end before its deadline.
        """
        from pytest_k8ssec.clusters.exec_session import run_to_end

        where = f"exec in pod {namespace}/{pod}"
        end = time.monotonic() + deadline
        socket = self._begun(namespace, pod, argv, container, where, deadline, stdin=bool(stdin))
        status, out, err = run_to_end(socket, where, stdin, end, heard or (lambda _: None))
        return Completed(tuple(argv), _exit_code(status, where), out, err)

    def session(
        self, namespace: str, pod: str, argv: Sequence[str], *, container: str = "", deadline: float = 20
    ) -> ExecSession:
        """Start a command in a container of a pod that is talked to for as long as it runs.

        Args:
            deadline: seconds until it has begun.

        Raises:
            ProbeError: the exec was refused, or did not begin before its deadline.
        """
        from pytest_k8ssec.clusters.exec_session import ExecSession

        where = f"exec in pod {namespace}/{pod}"
        return ExecSession(self._begun(namespace, pod, argv, container, where, deadline, stdin=True), where)

    def _begun(
        self, namespace: str, pod: str, argv: Sequence[str], container: str, where: str, deadline: float, *, stdin: bool
    ) -> WSClient:
        """A command's WebSocket. Raises ProbeError."""
        from kubernetes.client import ApiException
        from websocket import WebSocketException

        query = [("command", word) for word in argv]
        query += [("stdin", "true" if stdin else "false"), ("stdout", "true"), ("stderr", "true"), ("tty", "false")]
        if container:
            query.append(("container", container))
        server = self.server.replace("http", "ws", 1)
        url = f"{server}/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(query)}"
        try:
            return self._opened(url, where, deadline)
        except (ApiException, WebSocketException, OSError) as error:
            raise ProbeError(f"{where}: refused: {_said(error)}") from error


def _choose_way(configuration: client.Configuration) -> None:
    """Have requests and WebSockets go straight to the API server, or by the proxy that its kubeconfig names.

    A proxy of the environment is never asked, nor one before a server on loopback. The WebSocket's library looks into the
    environment unless it is given both a proxy and exceptions from it, so it gets both.
    """
    host = urlsplit(str(configuration.host)).hostname or ""
    if configuration.proxy and not is_loopback(host):
        configuration.no_proxy = _NO_HOST
    else:
        configuration.proxy, configuration.no_proxy = configuration.host, host


def _said(error: BaseException) -> str:
    """What an exec was refused with: the client appends all headers and the server's own words to the first line."""
    first, _, rest = str(getattr(error, "reason", None) or error).partition(" -+-+- ")
    words = rest.rpartition(" -+-+- ")[2]
    with suppress(ValueError, KeyError, TypeError):  # plain text, or none
        words = str(json.loads(words)["message"])
    return f"{first}: {words[:200]}" if words else first


def _exit_code(status: Body, where: str) -> int:
    """The exit code in an exec's closing Status.

    Raises:
        ProbeError: there was none: the command was never started, or the stream was cut.
    """
    if status.get("status") == "Success":
        return 0
    for cause in status.get("details", {}).get("causes", []):
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise ProbeError(f"{where}: {status.get('message') or 'ended without an exit code'}")


def _in_memory(certificate: str, owner: object) -> str:
    """A path of a file that is on no disk, as each connection reads it anew; it goes with its owner.

    Raises:
        ClusterError: nobody can show what is in it.
    """
    descriptor = os.memfd_create("certificate")
    weakref.finalize(owner, os.close, descriptor)
    path = f"/proc/self/fd/{descriptor}"
    Path(path).write_text(certificate, encoding="utf-8")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path)
    except OSError as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise ClusterError(f"client certificate: can't be shown: {reason}") from error
    return path


def _decode(data: bytes) -> Body:
    """A JSON object; anything else as ``{"text": ...}``, shortened."""
    try:
        body = json.loads(data)
    except ValueError:
        return {"text": data[:2000].decode(errors="replace")}
    return body if isinstance(body, dict) else {"value": body}
