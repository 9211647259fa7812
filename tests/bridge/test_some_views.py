"""reconstruct --views: some of a capture's photographs as a capture of their own."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.capture import record as captures
from bridge.errors import BridgeError
from bridge.job.some_views import some_views
from tests.support import synthetic


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rig")
    synthetic.write(folder, views=6, size=32)
    return folder


@pytest.mark.parametrize(
    ("wanted", "names"),
    [("1", ["cam00"]), ("3", ["cam00", "cam01", "cam02"]), ("cam04, cam01,cam04", ["cam04", "cam01"])],
)
def test_views_by_number_and_by_name(rig, tmp_path, wanted, names):
    some_views(rig, wanted, tmp_path / "some")
    whole, found = captures.load(rig), captures.load(tmp_path / "some")
    assert [view.name for view in found.views] == names
    assert found.unit_mm == whole.unit_mm
    before = {view.name: view for view in whole.views}
    for view in found.views:
        assert view.image.read_bytes() == before[view.name].image.read_bytes()
        assert view.normals.read_bytes() == before[view.name].normals.read_bytes()
        np.testing.assert_allclose(view.camera.R, before[view.name].camera.R, atol=1e-12)


@pytest.mark.parametrize(("wanted", "says"), [("7", "has 6 views, not 7"), ("0", "not 0"), ("left", "no view 'left'")])
def test_views_that_are_not_there(rig, tmp_path, wanted, says):
    with pytest.raises(BridgeError, match=says) as caught:
        some_views(rig, wanted, tmp_path / "some")
    assert caught.value.cure
