"""What mkdocs is told beyond mkdocs.yml: pages made from the source, and docstrings.

- Each public package gets a page of its API, from the names that its `__init__`
  re-exports: `from … import Name as Name`, or those in `__all__`.
- A notebook becomes a page with the outputs and pictures that are kept in it.
- A link to a file outside docs/ leads to a page that shows the file.
- `Docstrings` makes what the docstrings say survive Markdown.
"""

import ast
import base64
import contextlib
import io
import json
import os
import pathlib
import posixpath
import re

import griffe
from mkdocs.structure.files import File, InclusionLevel


ROOT = pathlib.Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
# the name of a class, linked to its file
NAMED = re.compile(r"(\[`(\w+)[^`\]]*`\])\([./]*/(dynax/\w+)/\w+\.py\)")


# -- pages of the API


# modules that users import by name: their packages re-export nothing of them
MODULES = {
    "dynax": "optax",
    "dynax.landscape": "deep_linear generalization grokking opposing river_valley "
    "thresholds",
    "dynax.material": "kinematics",
    "dynax.mechanics.mpm": "bodies",
    "dynax.pinn": "balancing diagnostics inverse sampling several",
    "dynax.reconstruct": "metrics",
}

INNER = {"cli", "evolve", "interval", "launch"}  # packages that users do not import


def exported(package: pathlib.Path) -> dict[str, str]:
    """The names that a package re-exports → the modules that it has them from."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    every = [
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    ]
    here = ".".join(package.relative_to(ROOT).parts)
    found = {}
    for node in imports:
        module = f"{here}.{node.module}" if node.level else node.module or ""
        names = [a.name for a in node.names if a.name in every or a.name == a.asname]
        found |= dict.fromkeys(names, module)
    return {name: module for name, module in found.items() if name[0] != "_"}


def packages(package: pathlib.Path, name: str):
    """(dotted name, names on its page) of a package and of all that is public in it."""
    names = exported(package)
    yield name, {n: module for n, module in names.items() if module != name}
    for path in sorted(package.iterdir()):
        inside = f"{name}.{path.stem}"
        if path.stem.startswith("_") or path.stem in INNER:
            continue
        if (path / "__init__.py").exists():
            yield from packages(path, inside)
        elif path.stem in MODULES.get(name, "").split():
            yield inside, None


def identifier(package: str, name: str, source: str) -> str:
    """Where griffe finds a name of a package that may have a module so named, too."""
    hidden = (ROOT / package.replace(".", "/") / f"{name}.py").exists()
    return f"{source}.{name}" if hidden else f"{package}.{name}"


def api_page(name: str, names: dict[str, str] | None) -> str:
    head = f"# {name}\n\nAfter this page you know every public name of `{name}`.\n"
    module = f"::: {name}\n    options: {{show_root_heading: false"
    if names is None:  # a module: all that is public in it
        return f"{head}\n{module}}}\n"
    parts = [f"{module}, members: false}}\n"]
    elsewhere: dict[str, list[str]] = {}
    for one, source in names.items():
        if (ROOT / source.replace(".", "/")).is_dir():  # it has a page of its own
            link = f"[`{one}`][{identifier(source, one, f'{source}.{one}')}]"
            elsewhere.setdefault(source, []).append(link)
        else:
            parts.append(f"::: {identifier(name, one, source)}\n")
    for source, links in elsewhere.items():
        parts.append(f"From [`{source}`]({source}.md): {', '.join(links)}.\n")
    return "\n".join([head, *parts])


def api() -> dict[str, str]:
    return {
        f"reference/api/{name}.md": api_page(name, names)
        for name, names in packages(ROOT / "dynax", "dynax")
    }


# -- the command line

COMMANDS = ("", "verify", "claims", "report", "sweep", "launch", "spectrum", "zoo")


def cli_page() -> str:
    """What each command says of itself."""
    os.environ["COLUMNS"] = "88"
    from dynax.cli import main

    parts = [
        "# Command line\n\nAfter this page you know every command and its options.\n"
    ]
    for command in COMMANDS:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            main([*command.split(), "--help"])
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue()).strip()
        parts.append(f"## {f'dynax {command}'.strip()}\n\n```text\n{plain}\n```\n")
    return "\n".join(parts)


# -- the zoo


def zoo_page() -> str:
    """What is known of each system, and what dysts states."""
    from dynax import zoo
    from dynax._display import with_error

    rows = [
        "# Systems of the zoo\n",
        "After this page you know the exponents of each system, and how sure they are.",
        "`dynax zoo NAME` prints its equations. λ₁ has its standard error in brackets.",
        "[Use the zoo](../how-to/zoo.md) says how the table was made.\n",
        "| system | n | λ₁ | D_KY | status | λ₁ of dysts 0.96 |",
        "|---|---|---|---|---|---|",
    ]
    known = zoo.annotations()
    for kind in zoo.ALL:
        row = known[kind.__name__]
        largest = with_error(row.value[0], row.error[0])
        theirs = "" if row.published is None else f"{row.published[0]:.4g}"
        about = f"{kind.start.size} | {largest} | {row.dimension:.3f} | {row.status}"
        rows.append(f"| `{kind.__name__}` | {about} | {theirs} |")
    return "\n".join(rows) + "\n"


# -- notebooks


def notebook(path: pathlib.Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by file name."""
    parts, pictures = [], {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}-{len(pictures)}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![Output of the cell above]({name})")
            elif "text/html" in data:
                page = "".join(data["text/html"])
                parts.append(f'<div class="outputs">{page}</div>')
            else:
                plain = data.get("text/plain", output.get("text", ""))
                parts.append(f"```text\n{''.join(plain).rstrip()}\n```")
    link = f"[{path.name}]({path.name})"
    parts.append(f"This page is the notebook {link}, run by the tests.")
    return "\n\n".join(parts) + "\n", pictures


# -- links that leave docs/


def outside(page: str, link: str) -> pathlib.Path | None:
    """The file of the checkout, outside docs/, to which a page links."""
    if re.match(r"[a-z]+:", link):
        return None
    target = (ROOT / "docs" / posixpath.dirname(page) / link).resolve()
    inside = target.is_relative_to(ROOT / "docs") or not target.is_relative_to(ROOT)
    return None if inside or not target.exists() else target


def shown(target: pathlib.Path) -> str:
    return f"source/{target.relative_to(ROOT).as_posix()}.md"


def source_page(target: pathlib.Path) -> str:
    name = target.relative_to(ROOT).as_posix()
    if target.is_dir():
        inside = sorted(p.name for p in target.iterdir() if p.suffix == ".py")
        return f"# {name}\n\n" + "\n".join(f"- `{n}`" for n in inside) + "\n"
    text = target.read_text(encoding="utf-8")
    if target.suffix == ".md":
        return re.sub(r"(?<!!)\[([^\]]*)\]\([^)]*\)", r"\1", text)
    kind = {".py": "python", ".sh": "bash"}.get(target.suffix, "text")
    return f"# {name}\n\n`````{kind}\n{text}\n`````\n"


# -- what mkdocs calls


def on_config(config):
    pages = [p for p in api()]

    def fill(nav):
        for entry in nav:
            for title, below in entry.items():
                if title == "API":
                    entry[title] = [{pathlib.Path(p).stem: p} for p in pages]
                elif isinstance(below, list):
                    fill(below)

    fill(config.nav)
    return config


def on_files(files, config):
    made = {**api(), "reference/cli.md": cli_page(), "reference/zoo.md": zoo_page()}
    for path in (ROOT / "docs").rglob("*.ipynb"):
        where = path.relative_to(ROOT / "docs").parent
        made[(where / path.stem).as_posix() + ".md"], pictures = notebook(path)
        for name, content in pictures.items():
            uri = (where / name).as_posix()
            files.append(File.generated(config, uri, content=content))
    pages = {f.src_uri: f.content_string for f in files.documentation_pages()}
    for page, text in {**pages, **made}.items():
        for link, _ in LINK.findall(FENCE.sub("", text)):
            if target := outside(page, link):
                made.setdefault(shown(target), source_page(target))
    for uri, text in made.items():
        kind = "NOT_IN_NAV" if uri.startswith("source/") else "INCLUDED"
        file = File.generated(config, uri, content=text, inclusion=InclusionLevel[kind])
        files.append(file)
    return files


def on_page_markdown(markdown, page, config, files):
    uri = page.file.src_uri

    def renew(match):
        if target := outside(uri, match[1]):
            return posixpath.relpath(shown(target), posixpath.dirname(uri) or ".")
        return match[0]

    def described(match):
        """The link to a file as one to the page of the API that has the name."""
        package = match[3].replace("/", ".")
        names = exported(ROOT / match[3])
        if match[2] not in names:
            return match[0]
        return f"{match[1]}[{identifier(package, match[2], names[match[2]])}]"

    markdown = NAMED.sub(described, markdown)
    # what the tests read of a fence, Markdown does not know
    return LINK.sub(renew, markdown.replace("```python no-run", "```python"))


# -- docstrings


class Docstrings(griffe.Extension):
    """Keeps formulas as written, and gives fields of modules as parameters."""

    def on_instance(self, *, obj, **kwargs) -> None:
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)

    def on_package(self, *, pkg, **kwargs) -> None:
        for cls in classes(pkg, set()):
            if "__init__" not in cls.members and (fields := fields_of(cls)):
                make_init(cls, fields)


KEPT = r"`[^`]*`|(?<!\w)\*[^*\s][^*]*\*(?!\w)"  # code, emphasis
STAR = re.compile(rf"({KEPT})|(?<=[^\W_]|[₊ₖᵢ′])\*(?![\w*])")
SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Examples?):$")
SEVERAL = re.compile(r"( {4})([A-Za-z_]\w*(?:, [A-Za-z_]\w*)+)(: .*)")


def readable(text: str) -> str:
    """A docstring as Markdown that shows what the source shows.

    Lines that are indented below a label, and paragraphs that are aligned by runs of
    spaces, become blocks. `a, b: what` in a section becomes a line for each name. The
    star of κ* stays a star.
    """
    out: list[str] = []
    for paragraph in re.split(r"\n[ ]*\n", text):
        lines = paragraph.split("\n")
        if SECTION.match(lines[0]):
            lines = [_stars(one) for line in lines for one in _each(line)]
        elif _aligned(lines):
            lines = [f"    {line}" for line in lines]
        else:
            blocks = _blocks(lines)
            lines = [x if x.startswith("    ") else _stars(x) for x in blocks]
        out.append("\n".join(lines))
    return "\n\n".join(out)


def _stars(line: str) -> str:
    return STAR.sub(lambda found: found[1] or "\\*", line)


def _each(line: str) -> list[str]:
    found = SEVERAL.fullmatch(line)
    if not found:
        return [line]
    return [f"{found[1]}{name}{found[3]}" for name in found[2].split(", ")]


def _aligned(lines: list[str]) -> bool:
    """Whether all lines hold formulas with runs of spaces between their parts."""
    return all(re.search(r"\S {2,}\S", line) for line in lines)


def _blocks(lines: list[str]) -> list[str]:
    """Blank lines around what is indended below a label or between lines of text."""
    out: list[str] = []
    for k, line in enumerate(lines):
        indented = line.startswith("    ")
        item = any(re.match(r"\s*([-*]|\d+\.) ", one) for one in lines[:k])
        if k and not item and indented != lines[k - 1].startswith("    "):
            out.append("")
        out.append(line)
    return out


def classes(obj, seen: set):
    """The classes defined in a package."""
    for member in obj.members.values():
        if member.is_alias:
            continue
        if member.is_module:
            yield from classes(member, seen)
        elif member.is_class:
            yield member
            yield from classes(member, seen)


def lineage(cls) -> list:
    """The class behind those it inherits from, as far as dynax defines them."""
    found = []
    for base in cls.bases:
        path = getattr(base, "canonical_path", str(base))
        try:
            above = cls.modules_collection[path]
        except KeyError:
            continue
        above = above.final_target if above.is_alias else above
        if above.is_class:
            found += [c for c in lineage(above) if c not in found]
    return [*found, cls]


def fields_of(cls) -> dict:
    """The fields of a `NamedTuple` or an `equinox.Module`, inherited ones first."""
    family = lineage(cls)
    roots = {getattr(b, "canonical_path", str(b)) for c in family for b in c.bases}
    if not any(r.endswith((".Module", "NamedTuple")) for r in roots):
        return {}
    fields = {}
    for one in family:
        for name, member in one.members.items():
            kind = member.annotation if member.is_attribute else None
            own = kind is not None and "instance-attribute" in member.labels
            if own and not re.search("ClassVar|AbstractVar", str(kind)):
                fields[name] = member
    return fields


def make_init(cls, fields: dict) -> None:
    kind = griffe.ParameterKind.positional_or_keyword
    given = [griffe.Parameter("self", kind=kind)]
    for name, member in fields.items():
        parameter = griffe.Parameter(
            name, annotation=member.annotation, kind=kind, default=default_of(member)
        )
        given.append(parameter)
    init = griffe.Function("__init__", parameters=griffe.Parameters(*given))
    cls.set_member("__init__", init)


def default_of(member):
    """`eqx.field(default=x)` is x; `field(static=True)` has none."""
    value = member.value
    if isinstance(value, griffe.ExprCall) and str(value.function).endswith("field"):
        keywords = [a for a in value.arguments if isinstance(a, griffe.ExprKeyword)]
        given = {k.name: k.value for k in keywords}
        return given.get("default", given.get("default_factory"))
    return value
