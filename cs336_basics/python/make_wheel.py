"""Builds the package cs336 for pip: the modules of this folder, and the shared library that make builds.

pip imports this file because pyproject.toml names it, and calls build_wheel() or, for `pip install -e`, build_editable()
(PEP 517 and 660). A wheel is a zip archive. It takes few lines to write one, so pip needs no build tool such as
setuptools: where numpy is installed, the package can be installed without a network. Nothing is written into this
folder.
"""
import base64
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import zipfile

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
LIBRARY = "libcs336.dylib" if sys.platform == "darwin" else "libcs336.so"

METADATA = """\
Metadata-Version: 2.1
Name: cs336
Version: {version}
Summary: Transformer language models from scratch, computed in C: tokenizer, model, generation
Requires-Python: >=3.9
Requires-Dist: numpy>=1.21
"""
WHEEL = """\
Wheel-Version: 1.0
Generator: cs336 make_wheel
Root-Is-Purelib: false
Tag: {tag}
"""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Writes the wheel with modules and library. Returns its file name, as pip expects."""
    files = {f"cs336/{path.name}": path.read_bytes()
             for path in sorted((FOLDER / "cs336").iterdir()) if path.name == "py.typed" or path.suffix == ".py"}
    files[f"cs336/{LIBRARY}"] = make_library().read_bytes()
    return write_wheel(wheel_directory, files)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Writes a wheel whose only file makes Python look for modules in this folder. They load the library of build/."""
    make_library()
    return write_wheel(wheel_directory, {"cs336.pth": f"{FOLDER}\n".encode()})


def build_sdist(sdist_directory, config_settings=None):
    """Refuses: an archive of this folder alone would not have the C sources."""
    sys.exit("cs336: there is no source distribution; run `pip install ./cs336_basics/python` in a checkout")


def make_library():
    """Lets make build the shared library. Returns its path."""
    if not (ROOT / "Makefile").is_file():
        sys.exit(f"cs336: no Makefile in {ROOT}: the package is built in a checkout of the repository, by pip 21.3 or newer")
    # A make that runs pip hands its job slots on by MAKEFLAGS, but pip does not keep their descriptors open.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    if subprocess.run(["make", "-C", str(ROOT), f"build/{LIBRARY}"], env=environment).returncode != 0:
        sys.exit("cs336: make could not build the library; its messages are above")
    return ROOT / "build" / LIBRARY


def version():
    """Returns the version, which the Makefile has."""
    return re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M).group(1)


def tag():
    """Returns what the wheel fits: any Python 3, because ctypes loads the library, but only this system."""
    system = re.sub(r"^(macosx-\d+)-", r"\1.0-", sysconfig.get_platform())
    return "py3-none-" + re.sub(r"[-.]", "_", system)


def write_wheel(directory, files):
    """Writes an archive of the files with their description. RECORD has the hash of each, as pip checks."""
    info = f"cs336-{version()}.dist-info"
    files = {**files,
             f"{info}/METADATA": METADATA.format(version=version()).encode(),
             f"{info}/WHEEL": WHEEL.format(tag=tag()).encode()}
    record = "".join(f"{name},sha256={hash_of(content)},{len(content)}\n" for name, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    name = f"cs336-{version()}-{tag()}.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return name


def hash_of(content):
    """Returns the hash as RECORD has it: base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
