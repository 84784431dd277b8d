"""Notebooks, run by a kernel and shown by a real JupyterLab."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.components.caption_report.browser import Browser
from tests.e2e.beamfleet import ROOT

NOTEBOOKS = ROOT / "notebooks"
_FOLDERS = ("CONFIG", "DATA", "RUNTIME")
_LAB = (
    "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0",
    "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)  # fmt: skip
_SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',  # all cells are in the page
    "apputils-extension/notification": '{"fetchNews": "false"}',
}
_PATIENCE_S = 90


async def execute(roots: Mapping[str, Path], folder: Path) -> None:
    """Runs every notebook on every root; leaves `<name>-<notebook>.ipynb`.

    One kernel, because to import TFDV and TFMA takes ten seconds; what a notebook defines is
    forgotten before the next one, so that none lives on what another one has imported.
    """
    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel(env=_environment(folder), cwd=str(NOTEBOOKS))
    try:
        for name, root in roots.items():
            for file in sorted(NOTEBOOKS.glob("*.ipynb")):
                document = nbformat.read(file, as_version=4)
                await _run(document, manager, root)
                nbformat.write(document, folder / f"{name}-{file.name}")
    finally:
        await manager.shutdown_kernel(now=True)


async def _run(document: nbformat.NotebookNode, manager: AsyncKernelManager, root: Path) -> None:
    anew = f"%reset -f\nimport os\nos.environ['BEAMFLEET_ROOT'] = {str(root)!r}\ndel os"
    cells = [nbformat.v4.new_code_cell(anew), *document.cells]
    client = NotebookClient(nbformat.v4.new_notebook(cells=cells), km=manager, timeout=_PATIENCE_S)
    async with client.async_setup_kernel(cleanup_kc=False):
        for number, cell in enumerate(client.nb.cells):
            await client.async_execute_cell(cell, number)


@contextmanager
def jupyterlab(folder: Path, home: Path) -> Iterator[str]:
    """A server of the notebooks in a folder, on the loopback; gives the address with its token."""
    for name, text in _SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    options = [f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}"]
    environment = {**_environment(home), "JUPYTER_TOKEN": token}
    with (home / "log").open("w") as log, subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *_LAB, *options], env=environment, stdout=log,
        stderr=log,
    ) as server:  # fmt: skip
        try:
            _wait(server, f"http://127.0.0.1:{port}/api", home / "log")
            yield f"http://127.0.0.1:{port}/doc/tree/{{}}?token={token}"
        finally:
            # Asked to end, it may wait for ever for a kernel that is just starting.
            for process in (*psutil.Process(server.pid).children(recursive=True), server):
                process.kill()


def text_of(browser: Browser, address: str, figures: int) -> str:
    """All that a notebook's page shows once so many figures are drawn."""
    browser.call("Page.navigate", url="about:blank")
    browser.events.clear()
    browser.call("Page.navigate", url=address)
    drawn = "document.querySelectorAll('.jp-Notebook .js-plotly-plot').length"
    browser.wait(f"{drawn} === {figures}")
    # Figures are text of an SVG: innerText has the tables and not them.
    return str(browser.run("document.querySelector('.jp-Notebook').textContent"))


def _environment(home: Path) -> dict[str, str]:
    ours = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in _FOLDERS}
    lab = {f"JUPYTERLAB_{n}_DIR": str(home / n.lower()) for n in ("SETTINGS", "WORKSPACES")}
    return {**os.environ, **ours, **lab, "IPYTHONDIR": str(home), "PYTHONPATH": str(ROOT)}


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except (urllib.error.URLError, TimeoutError):
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
