"""Addresses as inputs, in the notation of fsspec: https://..., s3://..., zip://talk.wav::archive.zip.

A chain is read from its end: the archive first, then the member in it.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from urllib.parse import unquote

from sewcli.errors import UsageError
from sewcli.settings import is_true

_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*::)*[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_HTTP = ("http", "https")
#: of S3, Google, CloudFront with the older ones of both, and Azure: the parameter that is the signature, and
#: all that come with it
_SIGNING = {
    "x-amz-signature": re.compile(r"x-amz-.*"),
    "x-goog-signature": re.compile(r"x-goog-.*"),
    "signature": re.compile(
        r"signature|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid|x-amz-security-token"
    ),
    "sig": re.compile(r"sig|se|sp|sv|sr|st|spr|sip|skoid|sktid|skt|ske|sks|skv"),
}
_PASSWORD = re.compile(r"(://[^/@:]*:)[^/@]*@")
#: protocols that reach no further than this machine
_LOCAL = frozenset(
    ["file", "local", "memory", "zip", "tar", "libarchive", "simplecache", "filecache", "blockcache"]
)
#: protocols of files that hold files
ARCHIVES = ("zip", "tar", "libarchive")
_PACKAGES = {
    "http": "pip install 'sewcli[remote]'",
    "https": "pip install 'sewcli[remote]'",
    "s3": "pip install s3fs",
    "s3a": "pip install s3fs",
    "gs": "pip install gcsfs",
    "gcs": "pip install gcsfs",
}


def is_url(given: str) -> bool:
    """Whether an input is an address and not a path."""
    return _ADDRESS.match(given) is not None


def needs_network(url: str) -> bool:
    """Whether any part of an address is beyond this machine."""
    return any(protocol not in _LOCAL for protocol in protocols(url))


def protocols(url: str) -> list[str]:
    """The protocols of a chain, from left to right; a path at its end is of none."""
    links = url.split("::")
    found = [link.split("://")[0] if "://" in link else link for link in links[:-1]]
    return [*(name.lower() for name in found), *_last_protocol(links[-1])]


def _last_protocol(link: str) -> list[str]:
    return [link.split("://", maxsplit=1)[0].lower()] if "://" in link else []


def file_name(url: str) -> str:
    """The name of the file at an address, without folders and query; "" where it names none."""
    link = next(link for link in url.split("::") if "://" in link)
    protocol, place = link.split("://", 1)
    if protocol.lower() in _HTTP:
        _host, _, place = re.split(r"[?#]", place, maxsplit=1)[0].partition("/")
        place = unquote(place).replace("\0", "_")
    return PurePosixPath(place).name


def unsigned(url: str) -> str:
    """An address without the parameters that sign it, which are others each time it is signed."""
    place, mark, query = url.partition("?")
    parameters = query.split("&")
    names = {parameter.partition("=")[0].lower() for parameter in parameters}
    signing = [pattern for signature, pattern in _SIGNING.items() if signature in names]
    left = [
        parameter
        for parameter in parameters
        if not any(pattern.fullmatch(parameter.partition("=")[0].lower()) for pattern in signing)
    ]
    return place + (mark + "&".join(left) if left else "")


def presentable(url: str) -> str:
    """An address as a message has it, which may end up in a log: without signature and password."""
    return _PASSWORD.sub(r"\1***@", unsigned(url))


def is_forbidden(url: str) -> bool:
    """Whether an address needs a network that this process shall not use (hub.offline.set_offline)."""
    return is_true(os.environ.get("SEW_OFFLINE", "")) and needs_network(url)


def check_url(url: str, *, offline: bool) -> None:
    """Refuse an address that cannot be read here at all, before anything runs.

    Raises:
        UsageError: it needs a network and there shall be none, or a package that is not installed.
    """
    shown = presentable(url)
    if offline and needs_network(url):
        raise UsageError(f"{shown}: needs the network, and this run is offline", hint="leave out --offline")
    for protocol in protocols(url):
        if problem := missing(protocol):
            raise UsageError(f"{shown}: {problem[0]}", hint=problem[1])


def missing(protocol: str) -> tuple[str, str] | None:
    """What keeps a protocol from being read here and what to do about it, or None."""
    import fsspec

    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        fix = _PACKAGES.get(protocol, f"it needs {error.name}" if error.name else str(error))
        return f"{protocol}:// needs a package that is not installed", fix
    except ValueError:
        return f"{protocol}:// is not known", "give https, s3, gs, zip or another protocol of fsspec"
    return None
