"""The PyTorch model that docs/interchange.md shows: its text, run as a module. Tests and fixtures use this very text."""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "interchange.md"


def page_model():
    """Returns the names that the page's Python block defines, such as TransformerLM and load."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    text = next(block for block in blocks if "class TransformerLM" in block)
    names = {"__name__": "page_model"}
    exec(compile(text, str(PAGE), "exec"), names)
    return names
