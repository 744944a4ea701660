"""The documentation as readers meet it: links, notebooks, words, and the built site."""

import html
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest


ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *NOTEBOOKS])
MISSING = [
    name
    for name in ("material", "mkdocstrings", "nbclient", "ipykernel")
    if importlib.util.find_spec(name) is None
]
needs_docs = pytest.mark.skipif(bool(MISSING), reason=f"extra docs: {MISSING} missing")


def prose(page):
    """The text of a page without code."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        kept = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
        text = "\n\n".join(kept)
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def dead_links(text, folder):
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text)
    inside = [a or b for a, b in links if not re.match(r"[a-z]+:|#", a or b)]
    # a link to a page that is made from a notebook counts as one to the notebook
    real = lambda path: path.exists() or path.with_suffix(".ipynb").exists()
    made = ("reference/cli.md", "reference/zoo.md")
    return [
        link
        for link in inside
        if not real(folder / link.split("#")[0]) and not link.endswith(made)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert dead_links(prose(page), page.parent) == []


def test_control_a_dead_link_is_found():
    text = '[a](nosuch.md#b) [b](https://x.org) <img src="no.png"> [c](README.md)'
    assert dead_links(text, ROOT) == ["nosuch.md#b", "no.png"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_pages_open_with_what_they_are_for(page):
    if page.is_relative_to(DOCS):
        head = prose(page).split("\n\n")
        assert head[0].startswith("# ")
        assert "After this page you" in " ".join(head[1:3])


WORDS = {
    "ledger": "ledger",
    "tally": "tally",
    "verdicts?": "verdict",
    "balance": "balance",
    "defect": "defect",
    "resolution": "resolution",
    "phase": "phase",
    "κ": "κ",
}


@pytest.mark.parametrize("page", sorted((DOCS / "tutorials").iterdir()), ids=str)
def test_words_are_linked_at_first_use(page):
    text = re.sub(r"`[^`]*`|^#.*$|Lion-κ", "", prose(page), flags=re.M)
    text = re.sub(r"\]\((?!\S*glossary)[^)]*\)", "]", text)
    for word, anchor in WORDS.items():
        first = re.search(rf"(?<![\w-]){word}(?![\w-])", text)
        if first and "After this page" not in text[: first.start()][-90:]:
            link = re.compile(rf"[^\]]*\]\(\.\./reference/glossary\.md#{anchor}\)")
            assert link.match(text, first.start()), f"{word} in {page.name}"


def test_every_tutorial_has_a_picture():
    for page in DOCS.glob("tutorials/*.md"):
        assert "](../images/" in prose(page), page.name


MOST = 25  # words of a sentence; a colon ends one, a formula is a word


def sentences(text):
    """The sentences of a page: without headings, tables, indented blocks and code."""
    text = re.sub(r"^( {4,}(?![-*\d])|\||#|<!--).*$", "", text, flags=re.M)
    text = re.sub(r"^\s*([-*]|\d+\.) ", "\n\n", text, flags=re.M)  # an item of a list
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|<[^>]+>", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "CODE", text)
    end = r"(?<=[.?!])[)\"*]*\s+(?=[\"(*]*[^a-z\d])|(?<=:)\s"
    for paragraph in re.split(r"\n\s*\n", text):
        yield from re.split(end, " ".join(paragraph.split()))


def spliced(text):
    """Sentences that a semicolon joins; in brackets it may separate sources."""
    return [s for s in sentences(text) if ";" in re.sub(r"\([^)]*\)", "", s)]


def too_long(text):
    count = lambda sentence: sum(bool(re.search(r"\w", w)) for w in sentence.split())
    return [s for s in sentences(text) if count(s) > MOST]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_sentences_are_short(page):
    if page.name != "results.md":  # its sentences are the claims
        assert too_long(prose(page)) == []
        assert spliced(prose(page)) == []


def test_control_a_long_sentence_is_found():
    assert spliced("One is (a; b) and `c; d`. It is so; it stays so.") == [
        "It is so; it stays so."
    ]
    fine = "word " * MOST
    assert too_long(f"# {fine * 2}\n\n{fine}end:\n\n- {fine}\n\n| {fine * 2}|\n") == [
        f"{fine}end:"
    ]


# -- notebooks


def outputs(notebook):
    """The kinds of what each cell shows, and the first word of its text."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            said = "".join(data.get("text/plain", output.get("text", ""))).split()
            found.append((sorted(data), said[:1]))
    return found


@needs_docs
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_show_what_running_them_shows(path, tmp_path):
    import nbclient
    import nbformat

    kept = nbformat.read(path, 4)
    again = nbformat.read(path, 4)
    for cell in again.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    inherited = os.environ.get("PYTHONPATH", "")
    places = os.pathsep.join([str(ROOT), *filter(None, [inherited])])
    client = nbclient.NotebookClient(
        again, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=os.environ | {"PYTHONPATH": places})
    assert outputs(again) == outputs(kept)
    assert any("image/png" in kinds for kinds, _ in outputs(kept))


# -- the site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


def words(page):
    text = html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))
    return " ".join(text.split())


@needs_docs
@pytest.mark.xdist_group("site")
def test_the_site_builds_and_shows_what_the_source_says(site):
    api = site / "reference" / "api"
    for page in api.glob("*.html"):  # no package is an empty page
        assert 'class="doc doc-object' in page.read_text("utf-8"), page.name
    # the star of κ* is a star, in docstrings and pages
    assert "min f + (1/λ)κ*(λ·)" in words(site / "explanation" / "balance.html")
    assert "κ(m) = Σᵢ φ(mᵢ), κ*(y) = Σᵢ φ*(yᵢ)" in words(api / "dynax.kappa.html")
    for page in [*api.glob("*.html"), *site.glob("explanation/*.html")]:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"[κφψ]<em>|[κφψ]</em>\(", text), page.name
    # certificates are blocks, and parameters of modules have a type and a default
    optim = (api / "dynax.optim.html").read_text(encoding="utf-8")
    assert re.search(r"<code>V = f\(x\) \+ \(1/2a\) Σ m²", optim)
    adam = words(api / "dynax.optim.html").partition("Adam: m₊")[2]
    assert "beta1 ScalarLike in [0, 1). 0.9 beta2 ScalarLike in [0, 1). 0.999" in adam
    bounded = words(api / "dynax.certify.html").partition("Bounded(")[2]
    own, _, _ = bounded.partition(")")
    assert own.strip() == "bound: Bound | None = None"  # no class variables
    # notebooks have their pictures
    audit = (site / "tutorials" / "first-audit.html").read_text(encoding="utf-8")
    assert "first-audit-0.png" in audit and ">holds</span>" in audit
    # experiments are linked to, and nothing is fetched from elsewhere
    assert (site / "source" / "experiments" / "lion" / "balance.py.html").exists()
    for page in site.rglob("*.html"):
        fetched = r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="https?:'
        assert not re.search(fetched, page.read_text(encoding="utf-8")), page


def load_hooks():
    spec = importlib.util.spec_from_file_location(
        "mkdocs_hooks", ROOT / "scripts" / "mkdocs_hooks.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_docs
def test_docstrings_survive_markdown():
    readable = load_hooks().readable
    text = "Sum κ*(x) of `a*b` and *this*.\n\nFlow:\n    ẋ = κ*(m)\nend.\n\nArgs:\n"
    said = readable(text + "    a, b: in κ*.\n    c: other.")
    assert said.startswith("Sum κ\\*(x) of `a*b` and *this*.")
    assert "Flow:\n\n    ẋ = κ*(m)\n\nend." in said
    assert said.endswith("Args:\n    a: in κ\\*.\n    b: in κ\\*.\n    c: other.")
    aligned = "M = 1,    N = 2;\nE = 3,  F = 4."
    assert readable(aligned) == "    M = 1,    N = 2;\n    E = 3,  F = 4."


@needs_docs
def test_every_public_package_has_a_page():
    pages = load_hooks().api()
    packages = {p.parent for p in (ROOT / "dynax").rglob("__init__.py")}
    for package in packages:
        name = ".".join(package.relative_to(ROOT).parts)
        inner = load_hooks().INNER & {*name.split(".")}
        assert (f"reference/api/{name}.md" in pages) != bool(inner)
    top = pages["reference/api/dynax.md"]
    assert "::: dynax.verify.verify\n" in top and "[`Adam`][dynax.optim.Adam]" in top
    assert "::: dynax.certify.on_box\n" in pages["reference/api/dynax.certify.md"]


@needs_docs
def test_a_module_that_a_page_names_has_a_page():
    pages = load_hooks().api()
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    named = set(re.findall(r"\b([a-z]\w+)\.([a-z]\w+)\b", text))
    for package, names in re.findall(r"from dynax\S*?(\w+) import ([\w, ]+)", text):
        named |= {(package, name.split()[0]) for name in names.split(", ")}
    for path in (ROOT / "dynax").rglob("[!_]*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if (path.parent.name, path.stem) in named:
            own = f"reference/api/{module}.md" in pages
            package = pages.get(f"reference/api/{module.rpartition('.')[0]}.md", "")
            assert own or path.stem in package, module


def test_the_gallery_is_small_and_says_what_is_seen():
    pictures = sorted((DOCS / "images" / "gallery").glob("*.webp"))
    assert pictures and max(p.stat().st_size for p in pictures) <= 60_000
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    for picture in pictures:
        found = re.search(
            rf"\(images/gallery/{picture.name}\)\n\n(.+)\n\n`(.+?)`", page
        )
        assert found and found[1].endswith("."), picture.name
        assert found[2].startswith("dynax report --only ")
