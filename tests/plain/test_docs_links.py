"""The documentation against the repository: links, commands, options, paths, tests and rooms that it names exist."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from bridge.__main__ import COMMANDS, main
from tests.plain.test_import_rules import ORDER
from tests.support import ROOT

README_LINES = 130
MADE_BY_DEMO = {"demo/head.blend", "demo/head.ply", "demo/report.json", "demo/report.png"}
FOLDERS = r"(?:bridge|skullptor_blender|tests|bench|demo|docs)"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
IN_SOURCE = re.compile(r"\b(docs/[\w/-]+\.md)(?:, \"([^\"]+)\")?")


def hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in ("runs", "dist") for part in path.relative_to(ROOT).parts)


PAGES = sorted(path for path in ROOT.rglob("*.md") if not hidden(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code(path: Path) -> str:
    """All code of a page, inline and in blocks; lines that go on are joined."""
    return "\n".join(re.sub(r"\n[ \t]+", " ", found) for found in CODE.findall(read(path)))


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", read(path), flags=re.DOTALL), re.MULTILINE)


def anchor(heading: str) -> str:
    """As GitHub makes it: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken(path: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(CODE.sub("", read(path))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, place = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (place and place not in map(anchor, headings(file))):
            found.append(link)
    return found


def commands(text: str) -> list[tuple[str, str]]:
    """(command, the rest of its line) of all `python -m bridge COMMAND ...`; 'train | export' and the like are two."""
    return re.findall(r"python -m bridge (?!\.)([a-z][a-z-]*)((?:(?!python -m)[^\n`])*)", text)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_pictures_resolve(page):
    assert not broken(page)


def test_a_broken_link_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A title, here\n[a](#a-title-here) [b](#none) ![c](c.png) [d](https://x.y) `[e](e.md)`\n")
    assert broken(page) == ["#none", "c.png"]


def test_every_page_of_docs_is_on_the_index():
    index = ROOT / "docs" / "README.md"
    reached, waiting = set(), [index, ROOT / "docs" / "lab" / "README.md"]
    for page in waiting:
        reached |= {(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(read(page))}
    missing = [page for page in PAGES if "docs" in page.relative_to(ROOT).parts and page.resolve() not in reached]
    assert missing == [index]


def test_the_readme_is_short():
    assert len(read(ROOT / "README.md").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_are_told_exist(page):
    assert {command for command, _ in commands(read(page))} <= set(COMMANDS)
    for module in re.findall(r"python -m (bench[\w.]*|tests[\w.]+)", read(page)):
        assert importlib.util.find_spec(module), module
    targets = set(re.findall(r"^([a-z][a-z-]*):", read(ROOT / "Makefile"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", code(page))) <= targets


@cache
def told_options(command: str) -> dict[str, set[str]]:
    """Options that pages give to a command, each with the pages."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        for other, rest in commands(code(page)):
            if other == command:
                for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", rest):
                    found.setdefault(option, set()).add(name(page))
    return found


@pytest.mark.parametrize("command", [command for command in COMMANDS if told_options(command)])
def test_options_that_are_told_exist(command, capsys):
    try:
        lacking = main([command, "--help"])
    except SystemExit:
        lacking = 0
    if lacking:
        pytest.skip(f"this Python lacks what {command} needs")
    known = set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))
    assert {option: pages for option, pages in told_options(command).items() if option not in known} == {}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_that_are_told_exist(page):
    here = page.parent
    for path in re.findall(rf"(?<![\w/.-]){FOLDERS}/[\w./-]*", code(page)):
        path = path.rstrip(".")
        assert path in MADE_BY_DEMO or (ROOT / path).exists() or (here / path).exists(), path


@cache
def functions_of_tests() -> set[str]:
    files = [*(ROOT / "tests").rglob("*.py")]
    return {found for file in files for found in re.findall(r"^def (test_\w+)", read(file), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tests_that_are_told_exist(page):
    told = set(re.findall(r"`(test_\w+)`", read(page)))
    assert told <= functions_of_tests(), told - functions_of_tests()


def test_pages_that_the_source_names_exist():
    """Comments such as: docs/lab/solver.md, "Seams and pimples"."""
    wrong = []
    for folder in ("bridge", "skullptor_blender", "bench", "demo", "tests", "docs"):
        for suffix in ("py", "cu", "h"):
            for file in (ROOT / folder).rglob(f"*.{suffix}"):
                for page, heading in IN_SOURCE.findall(read(file)):
                    there = (ROOT / page).is_file() and (not heading or heading in headings(ROOT / page))
                    if not there and file != Path(__file__):
                        wrong.append(f"{name(file)}: {page} {heading}")
    assert not wrong


@pytest.fixture(scope="module")
def house():
    """docs/architecture_picture.py, which is no package's."""
    spec = importlib.util.spec_from_file_location("architecture_picture", ROOT / "docs" / "architecture_picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_house_shows_every_room_where_it_is(house):
    assert house.rooms(house.BRIDGE) == ORDER["bridge"]
    assert house.rooms(house.ADD_ON) == ORDER["skullptor_blender"]
    assert house.TARGET.read_text(encoding="utf-8") == house.picture(), "run python docs/architecture_picture.py"


def test_the_page_of_the_house_names_every_room():
    page = read(ROOT / "docs" / "architecture.md")
    rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert {room for rooms in ORDER.values() for room in rooms} == set(re.findall(r"`(\w+)`", rows))


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "lab"], ids=name)
def test_a_page_of_the_laboratory_begins_with_its_conclusion_and_its_table(page):
    """What was found, in bold; then a table, before anything else is told; what was tried in vain at the end."""
    text = read(page)
    opening, _, rest = text.partition("\n| --- ")
    assert rest, "no table"
    assert opening.count("\n## ") <= 1 and len(opening.splitlines()) <= 25
    if page.name != "README.md":
        assert opening.split("\n\n")[1].startswith("**"), "the first sentence is the conclusion"
    vain = [i for i, heading in enumerate(headings(page)) if "vain" in heading.lower()]
    assert vain in ([], [len(headings(page)) - 1])


@cache
def literals() -> str:
    """All that the programs can say: string constants, adjacent ones joined, a space for what is filled in."""
    found = []
    for path in (*ROOT.glob("skullptor_blender/**/*.py"), *ROOT.glob("bridge/**/*.py")):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "\0" for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_messages_that_the_page_on_trouble_quotes_are_said():
    rows = re.findall(r"^\| (.+?) \| .+ \|$", read(ROOT / "docs" / "artists" / "trouble.md"), re.MULTILINE)
    quoted = [message for row in rows for message in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", row)]
    said = literals()
    pieces = [piece.strip() for message in quoted for piece in re.split(r"\.\.\.|[\d,]*\d| > ", message)]
    missing = [piece for piece in pieces if len(piece) > 3 and piece not in said]
    assert len(pieces) > 15
    assert not missing


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "artists").glob("*.md")), ids=lambda page: page.stem)
def test_buttons_that_artists_are_told_to_press_exist(page):
    """Buttons stand in bold, as do the first words of some paragraphs, which end with a full stop."""
    said = literals()
    buttons = {" ".join(name.split()) for name in re.findall(r"\*\*([^*]+)\*\*", read(page))}
    buttons = {button for button in buttons if button.endswith("...") or not button.endswith(".")}
    assert not [button for button in buttons if button not in said]
