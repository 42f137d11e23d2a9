"""MkDocs hook: what pages link to outside of docs/.

On the site the pictures of results/ lie beside the pages, and other files are
those of the repository. Links are written as they hold in the repository.
"""

import os
import pathlib
import posixpath
import re
from typing import Any

from mkdocs.structure.files import File, Files

_LINK = re.compile(r"(\]\()((?!\w+:|#|/)[^)\s#]+)")
_PICTURES = (".png", ".svg")
# Pages that stand outside of docs/ and are shown within.
_SHOWN = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pictures that pages show of results/."""
    docs = pathlib.Path(config.docs_dir)
    for page in list(files.documentation_pages()):
        folder = posixpath.dirname(page.src_uri)
        for match in _LINK.finditer(page.content_string):
            target = posixpath.normpath(posixpath.join(folder, match[2]))
            if target.startswith("../") and target.endswith(_PICTURES):
                path = docs / target
                name = target.removeprefix("../")
                if path.exists() and files.get_file_from_path(name) is None:
                    files.append(
                        File.generated(
                            config, name, abs_src_path=os.fspath(path)
                        )
                    )
    return files


def on_page_read_source(page: Any, config: Any) -> str | None:
    """What the pages show that stand outside of docs/."""
    name = _SHOWN.get(page.file.src_uri)
    if name is None:
        return None
    docs = pathlib.Path(config.docs_dir)
    text = (docs.parent / name).read_text(encoding="utf-8")

    def link(match: re.Match[str]) -> str:
        return match[1] + posixpath.relpath(match[2], docs.name)

    return _LINK.sub(link, text)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns links out of docs/ into those of the site or the repository."""
    del files
    folder = posixpath.dirname(page.file.src_uri)
    repository = f"{config.repo_url}/blob/main"

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        if not target.startswith("../"):
            return match[0]
        name = target.removeprefix("../")
        if name.endswith(_PICTURES):
            return f"{match[1]}{posixpath.relpath(name, folder or '.')}"
        root = pathlib.Path(config.docs_dir).parent
        if not (root / name).exists():
            raise ValueError(
                f"{page.file.src_uri}: a link must lead to a file of the "
                f"repository; got {match[2]!r}."
            )
        return f"{match[1]}{repository}/{name}"

    return _LINK.sub(link, markdown)
