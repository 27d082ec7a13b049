"""Fetching what is at an address to a file, block by block, through fsspec."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sewcli.audio.archives import get_member, is_member
from sewcli.errors import AudioError
from sewcli.inputs.urls import is_forbidden, missing, protocols

_HTTP = ("http", "https")
#: seconds to reach a server, and for its next bytes; a whole file may take any time
_CONNECT_SECONDS = 30
_READ_SECONDS = 60


def download(name: str, url: str, target: Path) -> None:
    """Fetch a file.

    Args:
        name: the input, for messages.
        url: where it is.
        target: the file to write.

    Raises:
        AudioError: codes not_found, is_directory, unreadable (no room), offline and download.
    """
    if is_forbidden(url):
        raise AudioError(
            f"{name}: needs the network, and this run is offline", hint="leave out --offline", code="offline"
        )
    for protocol in protocols(url):
        if problem := missing(protocol):
            raise AudioError(f"{name}: {problem[0]}", hint=problem[1], code="download")
    from fsspec.core import url_to_fs

    options = _options(protocols(url))
    try:
        if is_member(url):
            get_member(url, options, target)
        else:
            filesystem, path = url_to_fs(url, **options)
            filesystem.get_file(path, str(target))
    except Exception as error:
        # each protocol has a library of its own, and each library errors of its own
        raise _explained(name, error, target) from error
    if not target.is_file():
        raise AudioError(f"{name}: is a folder", hint="name the files in it", code="is_directory")


def version(url: str) -> str | None:
    """What a server says of the state of a file, without fetching it; None where that is not certain.

    That is its ETag or checksum, or else its size and the time it was last changed, as fsspec names them for
    the web, s3 and gs. Archives and other chains have none.
    """
    if "::" in url or is_forbidden(url) or any(missing(protocol) for protocol in protocols(url)):
        return None
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(url, **_options(protocols(url)))
        info = filesystem.info(path)
    except Exception:
        # each protocol has a library of its own; fetching will tell what is wrong
        return None
    size, sums, times = info.get("size"), _joined(info, _SUMS), _joined(info, _TIMES)
    if info.get("type") == "directory" or not (sums or (size and times)):
        return None
    return f"{size} {sums or times}"


_SUMS = ("ETag", "etag", "Content-MD5", "Digest", "md5Hash", "generation")
_TIMES = ("Last-Modified", "LastModified", "updated", "mtime")


def _joined(info: Mapping[str, Any], names: Sequence[str]) -> str:
    return " ".join(f"{name}={info[name]}" for name in names if info.get(name))


def _options(used: Iterable[str]) -> dict[str, Any]:
    """What the web protocols of a chain are opened with."""
    web = [protocol for protocol in used if protocol in _HTTP]
    if not web:
        return {}
    import aiohttp

    # the library's own limit is five minutes for all of a file; proxies come from the environment
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
    return {protocol: {"client_kwargs": {"timeout": timeout, "trust_env": True}} for protocol in web}


def _explained(name: str, error: Exception, target: Path) -> AudioError:
    """The error for what a library says when it cannot fetch."""
    reason = " ".join(str(error).split()) or type(error).__name__
    status = getattr(error, "status", None)
    # zipfile's own KeyError, which fsspec has passed on until 2026.6
    if isinstance(error, FileNotFoundError) or "There is no item named" in reason:
        return AudioError(f"{name}: there is no such file", hint="check the address", code="not_found")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return AudioError(
            f"{name}: cannot be copied to {target.parent}: {error.strerror}",
            hint="make room there, or set TMPDIR to another place",
            code="unreadable",
        )
    if isinstance(status, int):
        hint = "check the address, and that it may be read without a login"
        if status >= 500 or status == 429:
            hint = "try again later"
        words = " ".join(str(getattr(error, "message", "")).split())
        answer = f"the server answered {status} {words}".rstrip()
        return AudioError(f"{name}: {answer}", hint=hint, code="download")
    if "range requests" in reason or "Cannot seek streaming" in reason:
        return AudioError(
            f"{name}: the server sends files only whole, so nothing can be taken out of an archive there",
            hint="put simplecache:: before the address of the archive, or fetch the archive first",
            code="download",
        )
    if isinstance(error, TimeoutError):
        reason = "the server does not answer"
    elif type(error).__name__ == "ClientPayloadError":
        reason = "the download broke off"
    return AudioError(
        f"{name}: cannot be fetched: {reason}", hint="check the address and the connection", code="download"
    )
