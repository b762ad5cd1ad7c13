"""The site over HTTP: the same as exported; closed to other names, other sites and other paths."""

from __future__ import annotations

import gzip
import http.client
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from layerscope.cli.main import main
from layerscope.errors import LayerscopeError, OutputError
from layerscope.explorer.notebook import Explorer, explore
from layerscope.explorer.server import Serving, application, host_of, is_loopback, is_own
from layerscope.explorer.site import INDEX, Site
from tests.support.explorer import Shown
from tests.support.studies import bytes_of

pytest.importorskip("uvicorn")


@pytest.fixture
def serving(site: Site, page: Path) -> Iterator[Serving]:
    serving = Serving.at(application(Site(site.study, site.comparison))).start()
    yield serving
    serving.stop()


def ask(
    serving: Serving, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of one answer; the path goes out as it is."""
    port = serving.listening.getsockname()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_every_path_of_the_site_is_served_and_nothing_is_written(
    serving: Serving, site: Site, shown: Shown
) -> None:
    folders = [shown.study.path, shown.comparison.path]
    before = [bytes_of(folder) for folder in folders]
    contents = Site(site.study, site.comparison).contents
    for path, content in contents.items():
        status, headers, data = ask(serving, f"/{quote(path)}")
        assert (status, data) == (200, content.read()), path
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert not headers["content-type"].startswith("application/octet-stream"), path
    assert ask(serving, "/")[2] == contents[INDEX].read()
    assert [bytes_of(folder) for folder in folders] == before


@pytest.mark.parametrize(
    "path",
    """/study.json /../study.json /%2e%2e/study.json /data/..%2f..%2fstudy.json /data/%2e%2e/%2e%2e/study.json
    //etc/passwd /%2fetc%2fpasswd /data/study.js/ /data//study.js /data/study.js%00 /..%5cstudy.json /data
    /./data/study.js
    /pictures.parquet /data/study.js%0d%0aX:%20y""".split(),
)
def test_no_other_path_leads_anywhere(serving: Serving, path: str) -> None:
    status, headers, _ = ask(serving, path)
    assert status == 404
    assert headers["x-content-type-options"] == "nosniff"
    assert "x" not in headers


def test_other_methods_are_refused(serving: Serving) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(serving, "/data/study.js", method)[0] == 405


def test_requests_under_other_names_are_refused(serving: Serving) -> None:
    port = serving.listening.getsockname()[1]
    for host in (
        f"evil.example:{port}",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
    ):
        assert ask(serving, "/data/study.js", host=host)[0] == 403, host
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"):
        assert ask(serving, "/data/study.js", host=host)[0] == 200, host


def test_requests_of_other_sites_are_refused(serving: Serving) -> None:
    own = serving.address.rstrip("/")
    for origin in (
        "http://evil.example",
        "null",
        "https" + own.removeprefix("http"),
        f"{own}0",
        "http://localhost",
    ):
        assert ask(serving, "/data/study.js", origin=origin)[0] == 403, origin
    assert ask(serving, "/data/study.js", origin=own)[0] == 200
    for where in ("cross-site", "same-site"):
        assert ask(serving, "/data/study.js", sec_fetch_site=where, sec_fetch_mode="no-cors")[0] == 403
        assert (
            ask(serving, "/", sec_fetch_site=where, sec_fetch_mode="navigate")[0] == 200
        )  # a link, or a frame
        assert ask(serving, "/", "POST", sec_fetch_site=where, sec_fetch_mode="navigate")[0] == 403
    assert ask(serving, "/data/study.js", sec_fetch_site="same-origin", sec_fetch_mode="no-cors")[0] == 200


def test_what_a_browser_has_is_not_sent_again(serving: Serving) -> None:
    _, headers, _ = ask(serving, "/data/study.js")
    status, _, data = ask(serving, "/data/study.js", if_none_match=headers["etag"])
    assert (status, data) == (304, b"")


def test_text_is_squeezed_for_who_takes_it(serving: Serving, site: Site) -> None:
    status, headers, data = ask(serving, "/data/study.js", accept_encoding="gzip, br")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(data) == ask(serving, "/data/study.js")[2]
    assert len(data) < len(gzip.decompress(data)) / 2
    tile = next(path for path in site.contents if path.endswith(".jpg"))
    assert "content-encoding" not in ask(serving, f"/{tile}", accept_encoding="gzip")[1]


def test_a_link_out_of_the_study_is_not_followed(shown: Shown, page: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(shown.study.path, copy)
    (tmp_path / "secret").write_text("secret")
    tile = copy / "alexcnn" / "spaces" / "p1" / "plane_fill_files" / "0" / "0_0.jpg"
    tile.unlink()
    tile.symlink_to(tmp_path / "secret")
    serving = Serving.at(application(Site.open(copy))).start()
    status, _, data = ask(serving, "/alexcnn/spaces/p1/fill_files/0/0_0.jpg")
    serving.stop()
    assert status == 500
    assert data != b"secret"


@pytest.mark.parametrize(
    ("header", "host"),
    [("localhost:80", "localhost"), ("[::1]:80", "::1"), ("10.0.0.1", "10.0.0.1"), ("", "")],
)
def test_the_host_of_a_header(header: str, host: str) -> None:
    assert host_of(header) == host


def test_which_hosts_are_ours() -> None:
    assert all(
        is_own(host, "mine.local") for host in ("localhost", "127.0.0.1", "10.1.2.3", "::1", "MINE.local")
    )
    assert not any(is_own(host, "0.0.0.0") for host in ("mine.local", "", "127.1.evil", "evil"))
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.8.8.8")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "mine.local")))


def test_a_port_that_is_taken_is_said_in_one_line(serving: Serving, site: Site) -> None:
    with pytest.raises(OutputError, match="take another --port"):
        Serving.at(application(site), port=serving.listening.getsockname()[1])


def test_a_server_that_ends_before_it_began_leaves_no_socket(site: Site, page: Path) -> None:
    serving = Serving.at(application(Site(site.study, site.comparison)))
    serving.server.should_exit = True
    serving.start().stop()
    assert serving.listening.fileno() == -1


def test_a_notebook_shows_a_frame(shown: Shown, page: Path) -> None:
    explorer = shown.study.explore(shown.comparison)
    assert isinstance(explorer, Explorer)
    assert f'<iframe src="{explorer.address}"' in explorer._repr_html_()
    assert explorer.address in repr(explorer)
    assert explorer.serving is not None
    assert ask(explorer.serving, "/data/compare/alexcnn/vggcnn/pair.js")[0] == 200
    explorer.stop()
    (page / INDEX).unlink()
    with pytest.raises(LayerscopeError, match="without its pages"):
        explore(shown.study)


@pytest.mark.parametrize(("host", "said"), [("127.0.0.1", "on this machine"), ("0.0.0.0", "whoever reaches")])
def test_the_command_says_where_it_is_and_who_reaches_it(
    shown: Shown, page: Path, host: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(serving: Serving) -> None:
        serving.listening.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Serving, "run", interrupted)
    done = CliRunner().invoke(main, ["serve", str(shown.study.path), "--host", host])
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"open http://{host}:")
    assert said in line
