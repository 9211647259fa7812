"""Runs only when asked for: `make reliability`, which also writes docs/lab/reliability.md."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from bridge.capture import record as captures
from tests.support import synthetic

from . import ledger


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "reliability" in str(item.path):
            item.add_marker(pytest.mark.reliability)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    if ledger.rows and "reliability" in (session.config.option.markexpr or ""):
        ledger.PAGE.write_text(ledger.page(), encoding="utf-8")


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A capture that is solved in about a second."""
    folder = tmp_path_factory.mktemp("capture")
    capture = synthetic.write(folder, views=5, size=96)
    captures.save(replace(capture, evaluation=None), folder)
    return folder


@pytest.fixture
def capture(source, tmp_path):
    shutil.copytree(source, tmp_path / "capture")
    return tmp_path / "capture"
