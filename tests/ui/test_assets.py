"""What the dashboard is made of: nothing from elsewhere, nothing inline."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from serving import Service

import pgq_server.ui

ROOT = Path(pgq_server.ui.__file__).parent
VENDOR = ROOT / "static" / "vendor"
AXE = Path(__file__).parent / "axe"
TEMPLATES = sorted((ROOT / "templates").iterdir())
OWN = [path for kind in ("css", "js") for path in sorted((ROOT / "static" / kind).iterdir())]


@pytest.mark.parametrize("folder", [VENDOR, AXE], ids=lambda folder: folder.name)
def test_the_manifest_names_every_file_that_others_made(folder: Path) -> None:
    packages = json.loads((folder / "manifest.json").read_text())
    known = {}
    for package in packages:
        assert set(package) == {"name", "version", "licence", "package", "files"}
        assert package["package"].startswith("npm:")
        assert package["package"].endswith(f"@{package['version']}")
        assert any("LICENSE" in each["from"] for each in package["files"])
        known |= {each["file"]: each["sha256"] for each in package["files"]}
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert found == known


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_have_nothing_inline(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"<style|\sstyle=", text)
    assert not re.search(r"\son[a-z]+=", text)
    assert not re.search(r"\shx-on", text)
    assert not re.search(r"""(src|href|action)=["'](https?:)?//""", text)
    assert "|safe" not in text.replace(" ", "")


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_files_make_no_markup_and_fetch_nothing_elsewhere(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(r"https?://|url\(//", text)


def test_files_are_kept_by_browsers_until_they_change(service: Service) -> None:
    client = service.client()
    page = client.get("/ui/login").text
    for address in set(re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', page)):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["cache-control"]
        other = re.sub(r"/static/[^/]+/", "/static/old/", address)
        assert client.get(other).headers["cache-control"] == "no-cache"
    assert client.get("/ui/static/x/../../page.py").status_code == 404
    assert client.get("/ui/static/x/%2e%2e/page.py").status_code == 404
    assert client.get("/ui/static/x/js/none.js").status_code == 404
