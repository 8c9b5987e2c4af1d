"""What MkDocs does beside its own: pages may lead to files of the repository, and nothing on the site comes from elsewhere.

A link out of docs/ is right on a forge and in an editor. On the site it leads to a page that shows that file, or lists that
directory; such pages are made here, below ``source/``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

SOURCE = "source"
_REPOSITORY = Path(__file__).parents[1]
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
_FENCE = re.compile(r"^ {0,3}(`{3,})[^\n]*\n.*?^ {0,3}\1 *$", re.MULTILINE | re.DOTALL)
_LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|icon|preconnect|preload|manifest|dns-prefetch))[^>]*?\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)",
    re.IGNORECASE,
)
_STYLE_LOADS = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that a page leads to, and for those which such pages lead to."""
    from mkdocs.structure.files import File

    texts = {file.src_uri: file.content_string for file in files.documentation_pages()}
    wanted = {target for page, text in texts.items() for target in outward(text, posixpath.join("docs", page))}
    made: set[str] = set()
    while left := sorted(wanted - made):
        for target in left:
            made.add(target)
            text = source_page(_REPOSITORY / target)
            if target.endswith(".md"):
                wanted |= set(outward(text, target))
            files.append(File.generated(config, _place(target), content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead from a page to the pages that were made."""
    here = page.file.src_uri
    return relinked(markdown, _origin(here), here)


def on_post_build(config: MkDocsConfig) -> None:
    """No page and no style may load anything from elsewhere.

    Raises:
        PluginError: one does.
    """
    from mkdocs.exceptions import PluginError

    if found := sorted(loaded_from_elsewhere(Path(config.site_dir))):
        raise PluginError("the site loads from elsewhere: " + ", ".join(found))


def loaded_from_elsewhere(site: Path) -> Iterator[str]:
    """Every address of another host from which a page or a style of a site loads something by itself."""
    for path in site.rglob("*"):
        pattern = {".html": _LOADS, ".css": _STYLE_LOADS}.get(path.suffix)
        for match in pattern.finditer(path.read_text(encoding="utf-8")) if pattern else ():
            yield f"{path.relative_to(site)}: {next(each for each in match.groups() if each)}"


def outward(text: str, path: str) -> Iterator[str]:
    """Files and directories of the repository, outside of docs/, that a page leads to.

    Args:
        text: the page.
        path: the page's own path in the repository.
    """
    for match in _LINK.finditer(_FENCE.sub("", text)):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
        if not target.startswith(("docs/", "..")) and (_REPOSITORY / target).exists():
            yield target


def relinked(text: str, origin: str, here: str) -> str:
    """A page's links as they are on the site.

    Args:
        text: the page.
        origin: the page's path in the repository.
        here: the page's path on the site, as Markdown.
    """

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[2]))
        if target.startswith(".."):
            return match[0]
        place = target.removeprefix("docs/") if target.startswith("docs/") else _place(target)
        return f"{match[1]}{posixpath.relpath(place, posixpath.dirname(here) or '.')}{match[3] or ''}{match[4]}"

    parts, last = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(link, text[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*parts, _LINK.sub(link, text[last:])])


def source_page(path: Path) -> str:
    """Markdown that shows a file, or lists a directory."""
    name = path.relative_to(_REPOSITORY).as_posix()
    if path.is_dir():
        below = sorted(each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts)
        return f"# {name}\n\n" + "\n".join(f"- `{each.relative_to(path).as_posix()}`" for each in below) + "\n"
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# {path.name}\n\n`{name}`\n\n``````{_LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n``````\n"


def _place(target: str) -> str:
    """Where the page of a repository's file stands on the site."""
    return posixpath.join(SOURCE, target if target.endswith(".md") else f"{target}.md")


def _origin(here: str) -> str:
    """The path in the repository of a page of the site; of a page that shows a file, that page leads to nothing else."""
    if here.startswith(f"{SOURCE}/"):
        return posixpath.relpath(here, SOURCE)
    return posixpath.join("docs", here)
