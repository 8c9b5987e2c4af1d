"""What is kept of a cluster's logs when something failed: redacted, for its owner's eyes only, and not for ever.

Logs are written into the run's own private folder, which is removed with the run in every ending. Only when no secret
is in them any more are they moved to where they stay.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.errors import ClusterError, CommandError
from pytest_k8ssec.machine.ledger import Run, state_root
from pytest_k8ssec.secrecy.redact import redactor

KEPT = 10
"""The logs of so many runs are kept below the state directory; older ones are removed."""
_LARGE = 100_000
"""Characters. What is larger is a packed archive, as Helm's releases are, rather than a password."""
_GZIP = b"\x1f\x8b"
_MARK = ".saved-by-k8ssec"
"""A file in each folder of logs: only what has it is ever removed, whatever it is called."""
_INNOCENT = {
    "kubernetes.io/service-account-token": {"namespace", "ca.crt"},
    "bootstrap.kubernetes.io/token": {"auth-extra-groups", "description", "expiration"},
    "kubernetes.io/tls": {"tls.crt", "ca.crt"},
}
"""Fields of Secrets that hold nothing secret, by the Secret's type."""


def save(run: Run, target: Path, export: Callable[[Path], object], secrets: Callable[[], Iterable[str]]) -> Path | None:
    """Have logs written, redact them, and move them to their place.

    Args:
        run: in whose folder they are written at first.
        target: the directory that is to hold them; if it exists, one beside it.
        export: writes into the directory that it is given; what it wrote is kept even if it fails.
        secrets: gives values to hide beside those that are registered.

    Returns:
        where they are, or None where there are none.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="logs-", dir=run.directory) as folder:
            raw = Path(folder) / "raw"
            raw.mkdir(mode=0o700)
            with suppress(ClusterError, CommandError):
                export(raw)
            if not any(raw.iterdir()):
                return None
            _clean(raw, redactor(*secrets()))
            return _moved(raw, target)
    except OSError:
        return None  # a full disk, perhaps: the error that led here matters more


def secrets_of(api: Callable[[], KubeApi]) -> list[str]:
    """The values of a cluster's Secrets, as they are and as the API gives them, as far as it answers.

    Args:
        api: gives the client; a cluster whose creation failed may have none.
    """
    try:
        found = api().list("/api/v1/secrets")
    except ClusterError:
        return []
    return [value for secret in found for value in _values(secret)]


def _values(secret: Body) -> Iterator[str]:
    innocent = _INNOCENT.get(str(secret.get("type", "")), set())
    for name, encoded in (secret.get("data") or {}).items():
        if name in innocent or len(encoded) > _LARGE:
            continue
        raw = base64.b64decode(encoded)
        try:
            yield raw.decode()
        except UnicodeDecodeError:  # it can stand in a log only as this
            yield encoded
            yield raw.hex()


def _clean(folder: Path, hide: Callable[[str], str]) -> None:
    """Redact each file, and leave it and its folders to their owner."""
    folder.chmod(0o700)
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            path.unlink()
        elif path.is_dir():
            path.chmod(0o700)
        else:
            path.chmod(0o600)
            text = _unpacked(path.read_bytes()).decode(errors="surrogateescape")
            path.write_bytes(hide(text).encode(errors="surrogateescape"))


def _unpacked(data: bytes) -> bytes:
    """What a file says: rotated logs are compressed, and nothing could be cut out of them."""
    try:
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error):
        return b""  # half an archive


def _moved(folder: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if target.parent == default_root():
        target.parent.chmod(0o700)
        _forget_old(target.parent)
    # Elsewhere may be another disk: what is copied there has another name until it is whole.
    (folder / _MARK).touch(mode=0o600)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    shutil.move(folder, partial / "logs")
    place = next(each for each in _names(target) if not each.exists())
    (partial / "logs").rename(place)
    partial.rmdir()
    return place


def _names(target: Path) -> Iterator[Path]:
    yield target
    for number in itertools.count(2):
        yield target.with_name(f"{target.name}-{number}")


def default_root() -> Path:
    """Where logs are kept unless a setting names another place."""
    return state_root() / "diagnostics"


def _forget_old(root: Path) -> None:
    """Remove all but the newest, so that one more has room; what is no run's logs is left alone."""
    marked = (path for path in root.iterdir() if any((place / _MARK).is_file() for place in (path, path / "logs")))
    kept = [path for path in marked if not path.is_symlink()]
    kept.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
