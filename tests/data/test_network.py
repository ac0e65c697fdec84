"""The network source, against a server on this machine: it must fail soon and clearly."""

import dataclasses
import http.server
import os
import socket
import threading
import time

import pytest

from tests.data import tiny_set
from tfcourse import data
from tfcourse.data import network, specs
from tfcourse.data.specs import find_spec
from tfcourse.errors import UserError


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; `server.fault` says how it goes wrong."""

    def do_GET(self):
        body = self.server.files[self.path.rsplit("/", 1)[1]]
        fault = self.server.fault
        if fault == "slow":
            self.server.released.wait(10)
        self.send_response(503 if fault == "busy" else 200)
        length = len(body) + (100 if fault == "broken off" else 0)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(
            b"<html>log in first</html>".ljust(len(body))
            if (fault == "login page")
            else body
        )

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """Return a running server without files."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.fault, server.released = {}, None, threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def move_to(address, spec, monkeypatch):
    """Let the set's original files be at another address."""
    originals = tuple(
        dataclasses.replace(file, url=f"http://{address}/{file.filename}")
        for file in spec.originals
    )
    moved = dataclasses.replace(spec, originals=originals)
    monkeypatch.setitem(specs._SPECS, spec.name, moved)
    return moved


@pytest.fixture
def served(server, tiny, monkeypatch):
    for split, file in tiny_set.ORIGINALS.items():
        server.files[file.filename] = tiny_set.content(split)
    move_to(f"127.0.0.1:{server.server_port}", tiny, monkeypatch)
    return server


def test_a_set_is_downloaded_prepared_and_cached(served, cache_dir):
    lines, steps = [], []
    status = data.prepare(
        "tiny_set", notice=lines.append, progress=lambda *step: steps.append(step)
    )
    assert "downloading 0 MB" in lines[0]
    assert ("downloading tiny-train.bin", 31_400, 31_400) in steps
    assert status.state == "prepared" and "the network" in status.detail
    assert sorted(os.listdir(cache_dir)) == ["tiny_set", "tiny_set.lock"]
    (images, _), info = data.load_arrays("tiny_set", "train", source="real")
    assert len(images) == 40
    assert (info.source, info.verified) == ("tfds", True)
    assert "the network" in info.origin


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("busy", "the server answers 503"),
        ("broken off", "the transfer broke off"),
        ("login page", "tiny-train.bin came with another checksum than registered"),
        ("slow", "no answer in time"),
    ],
)
def test_a_faulty_server_gets_one_line(served, cache_dir, monkeypatch, fault, message):
    monkeypatch.setattr(network, "READ_SECONDS", 0.3)
    served.fault = fault
    refused(cache_dir, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "came with 31399 bytes instead of 31,400"),
        (lambda data: data * 9, "came with more than 31,400 bytes"),
        (lambda data: b"", "came with 0 bytes"),
    ],
)
def test_another_file_under_the_address_is_refused(served, cache_dir, change, message):
    served.files["tiny-train.bin"] = change(served.files["tiny-train.bin"])
    refused(cache_dir, message)


def refused(cache_dir, message):
    """Assert that the download fails with the message and both remedies."""
    with pytest.raises(UserError, match="can't be downloaded") as caught:
        data.load_arrays("tiny_set", "test", source="real")
    text = str(caught.value)
    assert message in text and "\n" not in text
    assert "connect to the network" in text
    assert (
        "put tiny-train.bin, tiny-test.bin in FOLDER/tiny_set and pass "
        "--data-dir FOLDER" in text
    )
    assert os.listdir(cache_dir) == ["tiny_set.lock"]


def test_without_network_it_fails_at_once(tiny, cache_dir):
    start = time.monotonic()
    refused(cache_dir, "its name can't be looked up")  # tiny.invalid has no address.
    assert time.monotonic() - start < network.RESOLVE_SECONDS + 2


def test_a_dead_name_server_is_not_waited_for(tiny, cache_dir, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: released.wait(10))
    monkeypatch.setattr(network, "RESOLVE_SECONDS", 0.1)
    start = time.monotonic()
    refused(cache_dir, "its name can't be looked up")
    assert time.monotonic() - start < 5
    released.set()


def test_a_closed_port_fails_at_once(tiny, cache_dir, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        move_to(address, tiny, monkeypatch)
        refused(cache_dir, "no connection")


def test_a_proxy_that_is_not_there_is_a_network_that_is_not_there(
    tiny, cache_dir, monkeypatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    refused(cache_dir, "no connection")


@pytest.mark.real_data
def test_the_real_files_come_through_the_network(
    server, real_data_dir, tmp_path, monkeypatch
):
    spec = find_spec("mnist")
    for file in spec.originals:
        path = real_data_dir / "mnist" / file.filename
        server.files[file.filename] = path.read_bytes()
    moved = move_to(f"127.0.0.1:{server.server_port}", spec, monkeypatch)
    network.download_originals(moved, tmp_path)
    for file in spec.originals:
        assert (tmp_path / file.filename).read_bytes() == server.files[file.filename]
