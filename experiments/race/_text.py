"""The text that is raced on: what ships with Python itself, its help and docstrings."""

import ast
import functools
import hashlib
import pathlib
import sysconfig

import numpy as np


VOCABULARY = 128  # bytes of ASCII; what is not one is a question mark
HELD_OUT = 10  # one paragraph in so many is never trained on


def paragraphs() -> list[str]:
    """The topics of `help()`, and the docstrings of the standard library's modules."""
    from pydoc_data.topics import topics

    texts = [topics[name] for name in sorted(topics)]
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.glob("*.py")):
        docs = [
            ast.get_docstring(node)
            for node in ast.walk(ast.parse(path.read_bytes()))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        ]
        texts += filter(None, docs)
    return [part for text in texts for part in text.split("\n\n") if part.strip()]


@functools.cache
def tokens() -> tuple[np.ndarray, np.ndarray]:
    """Bytes to train on and bytes held out; the hash of a paragraph says which it is.

    The same paragraph is on one side only, wherever and however often it occurs.
    """
    sides = [], []
    for part in paragraphs():
        data = part.encode("ascii", "replace") + b"\n\n"
        sides[int(hashlib.sha256(data).hexdigest(), 16) % HELD_OUT == 0].append(data)
    train, held = (np.frombuffer(b"".join(side), np.uint8) for side in sides)
    return train, held


def digest() -> str:
    """Of both sides: the text differs between versions of Python."""
    return hashlib.sha256(b"".join(map(bytes, tokens()))).hexdigest()[:12]
