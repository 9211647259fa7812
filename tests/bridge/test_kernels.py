"""Every kernel through NVIDIA's compilers, which need no device."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from bridge.device.source import OPTIONS
from bridge.mesh import cuda_source as mesh_source
from bridge.raster import cuda_source as raster_source
from bridge.solve import cuda_source as solve_source

SOURCES = {"mesh": mesh_source.source(), "raster": raster_source.source(), "solve": solve_source.source()}


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
@pytest.mark.parametrize("room", SOURCES)
def test_nvcc_takes_the_source(tmp_path, room):
    file, ptx = tmp_path / "kernels.cu", tmp_path / "kernels.ptx"
    file.write_text(SOURCES[room])
    done = subprocess.run(
        ["nvcc", *OPTIONS, "-Werror", "all-warnings", "-arch=compute_75", "-ptx", "-o", str(ptx), str(file)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = ptx.read_text()
    assert room == "solve" or "fma." not in text  # there the library's pow has its own
    assert text.count(".entry") == len(re.findall(r"^KERNEL ", SOURCES[room], re.MULTILINE)) >= 4


@pytest.mark.parametrize("room", SOURCES)
@pytest.mark.parametrize("card", ["sm_75", "sm_90"])
def test_nvrtc_takes_the_source(room, card):
    """The compiler of the real run, with the options that CuPy adds to ours."""
    pytest.importorskip("cupy")
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except Exception as error:  # noqa: BLE001  CuPy without the compiler's library
        pytest.skip(str(error))
    program = nvrtc.createProgram(SOURCES[room], "kernels.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*OPTIONS, "-ftz=true", f"-arch={card}"))
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
