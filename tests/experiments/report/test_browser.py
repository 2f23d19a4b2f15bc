"""Both pages in a real browser: nothing runs, nothing is fetched, nothing overflows, and they print.

Chromium is asked from its command line. JUDGE_OPT_REQUIRE_BROWSER=1 says that it has to be there, as CI does.
"""

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from judge_opt.experiments.report import render_html
from judge_opt.experiments.report.verdicts import render_verdicts_html

from .conftest import make_run, make_validation
from .test_report import poisoned
from .verdict_world import make_report

EVIL = (
    '<script>document.title="PWNED"</script><img src="http://evil.example/x.png" onerror="document.title=1">'
    '<link rel=stylesheet href="http://evil.example/y.css"><iframe src="http://evil.example/z"></iframe>'
    '"><svg onload=document.title="PWNED"><style>@import url(http://evil.example/w.css)</style>'
)


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.environ.get("JUDGE_OPT_REQUIRE_BROWSER", "") not in ("", "0"):
        pytest.fail("JUDGE_OPT_REQUIRE_BROWSER is set, but there is no chromium.")
    pytest.skip("There is no chromium.")


class Proxy:
    """Everything that a page asks for over the network arrives here, and gets no answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    self.asked.append(connection.recv(400).decode("latin-1").split("\r\n")[0])
                    connection.sendall(
                        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    )
                except OSError:
                    continue

    def of_the_page(self) -> list[str]:
        return [line for line in self.asked if ".example" in line]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.socket.close()


def browse(chromium: str, tmp_path: Path, proxy: Proxy, *arguments: str) -> str:
    done = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}",
            f"--proxy-server=127.0.0.1:{proxy.port}", *arguments,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    run = make_run(make_validation())
    bad = type(run).model_validate(poisoned_by(run.model_dump(mode="json")))
    made = {
        "run": render_html(run),
        "hostile-run": render_html(bad),
        "verdicts": render_verdicts_html(make_report()),
        "hostile-verdicts": render_verdicts_html(make_report(EVIL)),
    }
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


def poisoned_by(data: dict[str, object]) -> dict[str, object]:
    """The run with EVIL in place of the hostile text of the other tests."""
    import json

    from .test_report import HOSTILE

    told = json.dumps(poisoned(data)).replace(json.dumps(HOSTILE)[1:-1], json.dumps(EVIL)[1:-1])
    out: dict[str, object] = json.loads(told)
    return out


def test_the_watch_itself_would_see_it(chromium: str, tmp_path: Path, proxy: Proxy) -> None:
    """A page without our escaping and policy does run and fetch: so the tests below can fail."""
    page = tmp_path / "open.html"
    page.write_text(f"<title>x</title><p>{EVIL}</p>")
    dom = browse(chromium, tmp_path, proxy, "--dump-dom", page.as_uri())
    assert re.search(r"<title>(PWNED|1)</title>", dom)
    assert any("evil.example" in line for line in proxy.of_the_page())


@pytest.mark.parametrize("name", ["run", "hostile-run", "verdicts", "hostile-verdicts"])
def test_nothing_runs_and_nothing_is_fetched(
    name: str, chromium: str, tmp_path: Path, proxy: Proxy, pages: dict[str, Path]
) -> None:
    dom = browse(chromium, tmp_path, proxy, "--dump-dom", pages[name].as_uri())
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title is not None
    assert title[1].strip() not in ("PWNED", "1", "")
    assert "<footer>" in dom  # the whole page was read
    assert proxy.of_the_page() == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["run", "hostile-run", "verdicts", "hostile-verdicts"])
def test_nothing_overflows(
    name: str, width: int, chromium: str, tmp_path: Path, proxy: Proxy, pages: dict[str, Path]
) -> None:
    """The page is laid out in a frame of the width of a desktop and of a phone, and measured from outside."""
    harness = pages[name].parent / f"harness-{name}-{width}.html"
    harness.write_text(
        f"""<title>waiting</title>
        <iframe id=f src="{pages[name].name}" style="width:{width}px;height:900px;border:0"></iframe>
        <script>document.getElementById("f").onload = function () {{
          const page = this.contentDocument.documentElement;
          document.title = "wide " + page.scrollWidth + " tall " + page.scrollHeight;
        }};</script>"""
    )
    dom = browse(chromium, tmp_path, proxy, "--virtual-time-budget=4000", "--dump-dom", harness.as_uri())
    found = re.search(r"<title>wide (\d+) tall (\d+)</title>", dom)
    assert found is not None, dom[:400]
    assert int(found[1]) <= width
    assert int(found[2]) > 900


def test_it_prints(chromium: str, tmp_path: Path, proxy: Proxy, pages: dict[str, Path]) -> None:
    for name in ("run", "verdicts"):
        out = tmp_path / f"{name}.pdf"
        browse(
            chromium, tmp_path, proxy, f"--print-to-pdf={out}", "--no-pdf-header-footer", pages[name].as_uri()
        )
        data = out.read_bytes()
        assert data.startswith(b"%PDF")
        assert len(re.findall(rb"/Type\s*/Page\b", data)) >= 2
