"""The network: fetches original files from the addresses that TFDS registers.

TFDS has a downloader of its own, but it sets no timeout and tries a dead address eleven
times over more than three minutes. This one gives up within seconds and says what to do;
TFDS then takes the files from the folder, as it takes those of an offline classroom.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from tfcourse.data.folder import BLOCK_BYTES, Progress, where_to_put
from tfcourse.data.records import Files, OriginalFile
from tfcourse.errors import UserError

RESOLVE_SECONDS = 8.0  # The name service has no timeout of its own that we could set.
CONNECT_SECONDS = 6.0
READ_SECONDS = 30.0  # Without a single byte.


class _BrokenOff(Exception):
    """What arrived is not the registered file."""


def download_originals(
    spec: Files, folder: Path, progress: Progress | None = None
) -> None:
    """Put the set's original files into `folder`, each compared with its checksum.

    Raises:
        UserError: If the network, the server or the file is not there.
        OSError: If the files can't be written.
    """
    import requests

    for original in spec.originals:
        try:
            _refuse_unknown_host(original.url)
            _download(original, folder / original.filename, progress)
        except (requests.RequestException, _BrokenOff) as error:
            host = urlsplit(original.url).hostname
            raise UserError(
                f"{spec.name} can't be downloaded from {host} ({_reason(error)}): "
                f"connect to the network and try again, or {where_to_put(spec)}"
            ) from error


def _download(original: OriginalFile, path: Path, progress: Progress | None) -> None:
    import requests

    checksum, done = hashlib.sha256(), 0
    # identity: a server must not unpack or pack the gz on the way.
    with requests.get(
        original.url,
        stream=True,
        timeout=(CONNECT_SECONDS, READ_SECONDS),
        headers={"Accept-Encoding": "identity"},
    ) as response:
        response.raise_for_status()
        with path.open("wb") as file:
            for block in response.iter_content(BLOCK_BYTES):
                done += len(block)
                if done > original.num_bytes:
                    break
                checksum.update(block)
                file.write(block)
                if progress:
                    progress(f"downloading {path.name}", done, original.num_bytes)
    if done != original.num_bytes:
        size = (
            f"more than {original.num_bytes:,}" if done > original.num_bytes else done
        )
        raise _BrokenOff(
            f"{path.name} came with {size} bytes instead of {original.num_bytes:,}"
        )
    if checksum.hexdigest() != original.sha256:
        raise _BrokenOff(f"{path.name} came with another checksum than registered")


def _refuse_unknown_host(url: str) -> None:
    """Raise requests.ConnectionError if the host's name has no address, or no answer."""
    import requests

    if requests.utils.get_environ_proxies(url):
        return  # The proxy looks names up.
    host = urlsplit(url).hostname
    failure: list[OSError] = []

    def look_up() -> None:
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            failure.append(error)

    # A daemon: with a dead name server it may hang on for half a minute.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(RESOLVE_SECONDS)
    if thread.is_alive() or failure:
        raise requests.ConnectionError("its name can't be looked up")


def _reason(error: Exception) -> str:
    """Return a few words in place of a chain of exceptions."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer broke off"
    text = str(error)
    return text if len(text) < 100 and "\n" not in text else "no connection"
