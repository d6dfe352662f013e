"""Downloads from a server on loopback: complete and verified, or nothing."""

import contextlib
import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from jaxnets.data.files import RemoteFile, data_folder, fetch


CONTENT = bytes(range(256)) * 40


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        del format, args

    def do_GET(self):
        if not self.path.startswith("/cut/"):
            return super().do_GET()
        # The header announces more bytes than the body has.
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100])


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    source = tmp_path / "server"
    source.mkdir()
    (source / "file.bin").write_bytes(CONTENT)
    with served(source) as address:
        yield address


def remote(address, content=CONTENT, path="file.bin"):
    digest = hashlib.sha256(content).hexdigest()
    return RemoteFile("file.bin", f"{address}/{path}", digest)


def test_a_download_with_the_right_bytes_is_kept(url, tmp_path):
    folder = tmp_path / "new" / "folder"
    path = fetch(remote(url), folder)
    assert path == folder / "file.bin"
    assert path.read_bytes() == CONTENT
    assert list(folder.iterdir()) == [path]


def test_a_download_with_other_bytes_is_deleted(url, tmp_path):
    folder = tmp_path / "cache"
    wrong = remote(url, content=b"something else")
    message = rf"sent 10240 bytes with sha256 .* wanted {wrong.sha256}.*put the right"
    with pytest.raises(ValueError, match=message):
        fetch(wrong, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["absent.bin", "cut/file.bin"], ids=["absent", "cut off"]
)
def test_a_failed_download_leaves_nothing(url, tmp_path, path):
    folder = tmp_path / "cache"
    with pytest.raises((OSError, ValueError), match=r"could not be downloaded|cut off"):
        fetch(remote(url, path=path), folder)
    assert list(folder.iterdir()) == []


def test_a_closed_port_is_explained(tmp_path):
    with served(tmp_path) as address:
        pass
    with pytest.raises(OSError, match=r"could not be downloaded .* put the file at"):
        fetch(remote(address), tmp_path / "cache")


def test_the_folder_comes_from_the_argument_the_environment_or_the_home(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("JAXNETS_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data_folder(None, "mnist") == tmp_path / ".cache/jaxnets/mnist"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert data_folder(None, "mnist") == tmp_path / ".cache/jaxnets/mnist"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert data_folder(None, "mnist") == Path("/cache/jaxnets/mnist")
    monkeypatch.setenv("JAXNETS_DATA", "~/sets")
    assert data_folder(None, "mnist") == tmp_path / "sets/mnist"
    assert data_folder("~/mine", "mnist") == tmp_path / "mine"
