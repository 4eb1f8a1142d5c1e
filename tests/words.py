"""Find discouraged phrases in documentation, templates and code: `python -m tests.words [path ...]`.

The phrases and their replacements are the table in `docs/words.md`. Without arguments the whole project is checked.
Every match is printed as `file:line: phrase -> replacement`; the exit status is 1 if there is one. Migrations and tests
are not checked, nor is text in backticks, which quotes names.
"""

import ast
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "words.md"
SKIPPED_FOLDERS = {"migrations", "tests", "__pycache__", "node_modules"}
COMMENT_MARKERS = {".sql": "--", ".toml": "#", ".yaml": "#", "Makefile": "#", "Dockerfile": "#"}

MASK = "\0"  # neither a letter nor a space, so that no phrase begins, ends or continues across it
QUOTED = re.compile(r"``?[^`\n]+``?")
IDENTIFIER = re.compile(r"[a-z0-9_.:/{}%#*?=&,|-]*")
# What a template contains besides text: styles, scripts, and attributes that hold names.
TEMPLATE_CODE = re.compile(
    r"<style\b.*?</style>|<script\b.*?</script>|\b(?:class|style|id|name|for|href|src|hx-[\w-]+)=(?:\"[^\"]*\"|'[^']*')",
    re.DOTALL,
)
TEMPLATE_TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
STRING_IN_TAG = re.compile(r"\"[^\"]*\"|'[^']*'")


class Rule(NamedTuple):
    pattern: re.Pattern[str]
    replacement: str


class Text(NamedTuple):
    """Text for people, and the line on which it starts. `is_literal` is whether its lines are those of the file."""

    line: int
    content: str
    is_literal: bool = True


@dataclass(frozen=True)
class Hit:
    path: Path
    line: int
    phrase: str
    replacement: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: {self.phrase} -> {self.replacement}"


def phrase_pattern(phrase: str) -> str:
    """Match the words of a phrase, however they are spaced, but not inside a longer word, a path or a dotted name.

    >>> re.search(phrase_pattern("comes to"), "becomes to"), re.search(phrase_pattern("door"), "front-door")
    (None, None)
    """
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    end = r"(?![\w/-]|\.\w)" if phrase[-1].isalnum() else ""
    return rf"(?<![\w/.-]){words}{end}"


def read_rules(guide: Path = GUIDE) -> list[Rule]:
    """Read the table of phrases; longer phrases come first, so that they are reported instead of their parts."""
    replacements: dict[str, str] = {}
    for line in guide.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 2 and cells[0] != "instead of" and not cells[0].startswith("---"):
            replacements |= {phrase.strip(): cells[1] for phrase in cells[0].split(",")}
    phrases = sorted(replacements, key=len, reverse=True)
    return [Rule(re.compile(phrase_pattern(phrase), re.IGNORECASE), replacements[phrase]) for phrase in phrases]


def masked(match: re.Match[str]) -> str:
    """Replace a match with as many mask characters, keeping its lines."""
    return re.sub(r"[^\n]", MASK, match[0])


class Comment(NamedTuple):
    line: int
    content: str
    fills_line: bool


def python_comments(source: str) -> Iterator[Comment]:
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Comment(token.start[0], token.string.lstrip("#"), not token.line[: token.start[1]].strip())


def other_comments(source: str, marker: str) -> Iterator[Comment]:
    for number, line in enumerate(source.splitlines(), start=1):
        code, separator, content = line.partition(marker)
        if separator and (not code or code[-1].isspace()):
            yield Comment(number, content.lstrip(marker), not code.strip())


def joined(comments: Iterable[Comment]) -> Iterator[Text]:
    """Join comments that fill consecutive lines, since a phrase can continue on the next line."""
    blocks: list[list[Comment]] = []
    for comment in comments:
        previous = blocks[-1][-1] if blocks else None
        if previous and comment.fills_line and previous.fills_line and previous.line == comment.line - 1:
            blocks[-1].append(comment)
        else:
            blocks.append([comment])
    for block in blocks:
        yield Text(block[0].line, "\n".join(comment.content for comment in block))


def python_strings(source: str) -> Iterator[Text]:
    """Yield string literals and docstrings; skip those that are a name, a key or a path."""
    tree = ast.parse(source)
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in formatted for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            value = "".join(str(part.value) if isinstance(part, ast.Constant) else MASK for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            value = node.value
        else:
            continue
        if not IDENTIFIER.fullmatch(value):
            yield Text(node.lineno, value, value.count("\n") == (node.end_lineno or node.lineno) - node.lineno)


def template_text(source: str) -> Iterator[Text]:
    """Yield a template's text, attributes for people, and strings inside tags."""

    def keep_strings(match: re.Match[str]) -> str:
        strings = [string for string in STRING_IN_TAG.finditer(match[0]) if not IDENTIFIER.fullmatch(string[0][1:-1])]
        positions = {position for string in strings for position in range(string.start() + 1, string.end() - 1)}
        return "".join(
            character if position in positions or character == "\n" else MASK
            for position, character in enumerate(match[0])
        )

    yield Text(1, TEMPLATE_TAG.sub(keep_strings, TEMPLATE_CODE.sub(masked, source)))


def texts(path: Path) -> Iterator[Text]:
    """Yield what people read in a file."""
    source = path.read_text()
    if path.suffix == ".py":
        yield from python_strings(source)
        yield from joined(python_comments(source))
    elif path.suffix == ".html":
        yield from template_text(source)
    elif path.suffix == ".md":
        yield Text(1, source)
    else:
        yield from joined(other_comments(source, COMMENT_MARKERS[path.suffix or path.name]))


def check(path: Path, rules: list[Rule]) -> list[Hit]:
    """Find the discouraged phrases in one file, in the order of its lines."""
    hits = []
    for text in texts(path):
        content = QUOTED.sub(masked, text.content)
        for rule in rules:
            for match in rule.pattern.finditer(content):
                line = text.line + (content.count("\n", 0, match.start()) if text.is_literal else 0)
                hits.append(Hit(path, line, " ".join(match[0].split()), rule.replacement))
            content = rule.pattern.sub(masked, content)
    return sorted(hits, key=lambda hit: (hit.line, hit.phrase))


def checked_files(paths: list[Path]) -> Iterator[Path]:
    """Yield the files to check: those that are named, and those in the folders that are named."""
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            folders = file.relative_to(path).parts[:-1]
            is_skipped = SKIPPED_FOLDERS & set(folders) or any(folder.startswith(".") for folder in folders)
            has_text = file.suffix in {".py", ".html", ".md"} or (file.suffix or file.name) in COMMENT_MARKERS
            if has_text and not is_skipped and file.is_file() and file.resolve() != GUIDE:
                yield file


def main(arguments: list[str]) -> int:
    rules = read_rules()
    paths = [Path(argument) for argument in arguments] or [ROOT]
    missing = [path for path in paths if not path.exists()]
    if missing:
        print("No such file or folder:", *missing)
        return 2
    hits = [hit for file in checked_files(paths) for hit in check(file, rules)]
    for hit in hits:
        print(hit)
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
