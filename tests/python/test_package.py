"""The package as pip has installed it."""

import inspect
import os
import pathlib
import re
import subprocess
import sys
import unittest

import cs336
from cs336 import _library
from support import ROOT, TemporaryFiles

SOURCE = ROOT / "cs336_basics" / "python"
INSTALLED = pathlib.Path(cs336.__file__).parent


class Package(TemporaryFiles):
    def test_the_installed_package_is_tested_with_its_own_library(self):
        self.assertNotEqual(INSTALLED, SOURCE / "cs336")
        self.assertEqual(pathlib.Path(_library.lib._name).parent, INSTALLED)

    def test_version_is_that_of_the_makefile(self):
        version = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M)[1]
        self.assertEqual(cs336.__version__, version)
        self.assertTrue((INSTALLED.parent / f"cs336-{version}.dist-info" / "RECORD").is_file())

    def test_all_modules_are_installed_and_say_that_they_are_typed(self):
        names = {path.name for path in (SOURCE / "cs336").iterdir() if path.suffix == ".py"} | {"py.typed"}
        library = {path.name for path in INSTALLED.iterdir() if path.name.startswith("libcs336.")}
        self.assertEqual(len(library), 1)
        self.assertEqual({path.name for path in INSTALLED.iterdir()} - {"__pycache__"}, names | library)

    def test_installing_leaves_nothing_in_the_source(self):
        names = {path.name for path in SOURCE.iterdir()} - {"__pycache__"}
        self.assertEqual(names, {"cs336", "make_wheel.py", "pyproject.toml"})
        modules = {path.suffix for path in (SOURCE / "cs336").iterdir() if path.name != "__pycache__"}
        self.assertEqual(modules, {".py", ".typed"})

    def test_everything_public_is_documented_and_annotated(self):
        for name in cs336.__all__:
            thing = getattr(cs336, name)
            members = [thing] if callable(thing) else []
            if inspect.isclass(thing):
                members += [m for n, m in vars(thing).items() if not n.startswith("_") and (callable(m) or isinstance(m, (property, classmethod)))]
            for member in members:
                function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                with self.subTest(name=name, member=getattr(function, "__name__", "")):
                    self.assertTrue(inspect.getdoc(function))
                    if inspect.isfunction(function):
                        self.assertIn("return", function.__annotations__)

    def test_type_checkers_accept_right_calls_and_refuse_wrong_ones(self):
        try:
            import mypy.api
        except ImportError:
            self.skipTest("mypy is not installed")
        right = self.write("right.py", "import cs336\n"
                           "model = cs336.Model.load('x')\n"
                           "text: str = model.generate_text(cs336.Tokenizer.from_files('v', 'm'), 'a', top_k=3)\n")
        wrong = self.write("wrong.py", "import cs336\ncs336.Tokenizer.from_files('v', 'm').decode('text').nonesuch\n")
        os.environ["MYPYPATH"] = str(INSTALLED.parent)
        arguments = ["--cache-dir", str(self.folder / "cache"), "--ignore-missing-imports"]
        self.assertEqual(mypy.api.run([*arguments, str(right)])[2], 0, mypy.api.run([*arguments, str(right)])[0])
        self.assertEqual(mypy.api.run([*arguments, str(wrong)])[2], 1)

    def test_an_editable_install_loads_the_library_of_the_checkout(self):
        folder = self.folder / "site"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", folder, "--editable", SOURCE], check=True)
        self.assertEqual((folder / "cs336.pth").read_text(), f"{SOURCE}\n")
        code = "import site, cs336; print(cs336._library.lib._name)"
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        name = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        self.assertEqual(pathlib.Path(name.strip()).parent, ROOT / "build")

    def test_a_missing_library_is_one_clear_line(self):
        environment = {**os.environ, "CS336_LIBRARY": "/none/libcs336.so"}
        done = subprocess.run([sys.executable, "-c", "import cs336"], env=environment, capture_output=True, text=True)
        self.assertRegex(done.stderr.splitlines()[-1], r"ImportError: .*CS336_LIBRARY.*`make`")


if __name__ == "__main__":
    unittest.main()
