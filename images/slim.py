"""Take out of /app/.venv what no service runs.

What goes is listed; a service's image is tested to import and to work without it.
"""

import compileall
import shutil
import struct
import sys
from pathlib import Path
from typing import Final

SITE: Final = Path("/app/.venv/lib/python3.11/site-packages")

FOLDERS: Final = ("tests", "test", "include")
"""Wherever a package has them: its tests, and headers for compilers."""

FILES: Final = ("*.pyi", "*.pyx", "*.pxd", "*.c", "*.h", "*.hpp", "*.a")
"""Wherever a package has them: what type checkers and compilers read."""

UNUSED: Final = (
    # A second client for asyncio, larger than the one in use.
    "kubernetes/aio",
    # Downloads from the hub: no service does, models are exported beforehand.
    "hf_xet",
    # OpenVINO runs networks in its own format on CPUs. Other devices and other formats' readers:
    "openvino/libs/libopenvino_intel_gpu_plugin.so",
    "openvino/libs/libopenvino_intel_npu_plugin.so",
    "openvino/libs/libopenvino_auto_batch_plugin.so",
    "openvino/libs/libopenvino_auto_plugin.so",
    "openvino/libs/libopenvino_hetero_plugin.so",
    "openvino/libs/cache.json",
    "openvino/libs/libopenvino_gguf_frontend.so.*",
    "openvino/libs/libopenvino_jax_frontend.so.*",
    "openvino/libs/libopenvino_onnx_frontend.so.*",
    "openvino/libs/libopenvino_paddle_frontend.so.*",
    "openvino/libs/libopenvino_pytorch_frontend.so.*",
    "openvino/libs/libopenvino_tensorflow_frontend.so.*",
    "openvino/libs/libopenvino_tensorflow_lite_frontend.so.*",
    "openvino/frontend/*/py_*.so",
    "openvino/cmake",
    # Reports every start to its vendor; the library does without.
    "openvino_telemetry",
    # Compilers of extensions.
    "numpy/distutils",
    "numpy/f2py",
    # Shells' ways into the environment: it is on PATH.
    "../../../bin/[Aa]ctivate*",
)

SOURCELESS: Final = ("kubernetes/client",)
"""Generated code, most of it docstrings, which a service imports as a whole: bytecode only."""


def main() -> None:
    """Remove what is listed, strip, and leave generated code as bytecode."""
    unused = [path for pattern in UNUSED for path in SITE.glob(pattern)]
    folders = [path for name in FOLDERS for path in SITE.glob(f"*/**/{name}") if path.is_dir()]
    for path in (*unused, *folders):
        _remove(path)
    for pattern in FILES:
        for path in SITE.glob(f"**/{pattern}"):
            _remove(path)
    for library in SITE.rglob("*.so*"):
        if not library.is_symlink():
            strip(library)
    for pattern in SOURCELESS:
        for path in SITE.glob(pattern):
            _drop_sources(path)


def strip(library: Path) -> None:
    """Cut off what follows the segments that are loaded: symbols and notes for debuggers.

    Half of some libraries is that. Only 64-bit little-endian ELF files are touched; loaders read
    program headers, so that the section headers go too.
    """
    data = bytearray(library.read_bytes())
    if data[:6] != b"\x7fELF\x02\x01":
        return
    (first,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    end = first + size * count
    for header in range(first, end, size):
        offset, length = struct.unpack_from("<Q16xQ", data, header + 8)
        end = max(end, offset + length)
    struct.pack_into("<Q", data, 40, 0)
    struct.pack_into("<HH", data, 60, 0, 0)
    library.write_bytes(data[:end])


def _drop_sources(folder: Path) -> None:
    if not compileall.compile_dir(folder, maxlevels=99, quiet=1, legacy=True, optimize=2):
        sys.exit(f"{folder} cannot be compiled")
    for source in folder.rglob("*.py"):
        source.unlink()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # gone with a folder around it


if __name__ == "__main__":
    sys.exit(main())
