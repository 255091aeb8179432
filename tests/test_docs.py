"""README.md and docs/: commands run or at least exist, links lead somewhere, numbers are those that were measured."""

import functools
import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import DEFAULTS, ROOT
from dvc.cli.parser import get_main_parser
from support import commit, copy_project, run, tracked_files

from cnn.common import files, params
from cnn.common.task import Classification
from cnn.export import onnx
from cnn.model.build import build
from cnn.synthetic.surfaces import PATTERNS
from stages.sample import draw_all

README, JAPANESE = ROOT / "README.md", ROOT / "README.ja.md"
PAGES = [README, JAPANESE, *sorted((ROOT / "docs").glob("*.md"))]
MOST = 8000  # bytes of README.md
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = PIPELINE["stages"]
OUTPUTS = {out if isinstance(out, str) else next(iter(out)) for stage in STAGES.values() for out in stage["outs"]}
RUNGS = {rung["name"] for rung in yaml.safe_load((ROOT / "ladder.yaml").read_text(encoding="utf-8"))["rungs"]}
OF_READER = {"data/mine", "stl10-4.zip", "flowers-4.zip"}  # what nobody but the reader can bring
WRITTEN = ("--csv", "--submission", "--explain", "--out", "--static")  # options that name a file to write
VARIABLES = {"BENCH": "bench/compare.py", "DEMO": "demo.py", "LADDER": "ladder.py"}  # of the Makefile: options of these
# They take seconds, and nothing that a clone lacks; all others are looked at, not run.
CHEAP = [
    *("cp", "git checkout", "git tag", "python predict.py"),
    *("dvc add", "dvc exp show", "dvc metrics", "dvc params", "dvc queue status"),
]


@dataclass(frozen=True)
class Command:
    """A line of a console block after its `$`, as words; output: the lines below it."""

    words: list[str]
    output: list[str]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands(page: Path) -> list[Command]:
    """Those of the console blocks; two in a line are two."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE):
        assert block.startswith("$ "), f"{page.name}: a console block that begins without a command: {block}"
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *output = entry.splitlines()
            words = shlex.split(line, comments=True)
            while "&&" in words:
                found.append(Command(words[: words.index("&&")], []))
                words = words[words.index("&&") + 1 :]
            found.append(Command(words, output))
    return found


def inline_code(page: Path) -> list[str]:
    """What stands between backticks in running text and tables."""
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with what the pages' commands take: pictures of a reader's, and an untrained model that answers."""
    folder = copy_project(tmp_path_factory.mktemp("clone"))
    run(folder, "git", "init", "-q")
    commit(folder, "start")
    draw_all(folder / "data/sample", 2, 1)
    draw_all(folder / "home/holiday", 1, 1)
    for archive in ("pictures", "data/test"):
        shutil.make_archive(str(folder / archive), "zip", folder / "home/holiday")
    shutil.copytree(folder / "home/holiday", folder / "folder")
    shutil.copy(folder / "data/sample/brick/001.jpg", folder / "photo.jpg")
    rows = sorted(path.relative_to(folder / "folder").as_posix() for path in (folder / "folder").rglob("*.jpg"))
    files.write_csv(folder / "sample.csv", ("id", "label"), [(row, "brick") for row in rows])
    network = build(params.check(DEFAULTS | {"image_size": 32}), Classification(tuple(PATTERNS)))
    metadata = {"classes": list(PATTERNS), "temperature": 1.0, "keras_md5": ""}
    files.write_bytes(folder / "models/model.onnx", onnx.build(network, metadata))
    return folder


def test_the_readme_is_short():
    assert len(README.read_bytes()) <= MOST


def test_the_japanese_readme_has_the_same_commands():
    assert [each.words for each in commands(JAPANESE)] == [each.words for each in commands(README)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists(page, clone):
    for command in commands(page):
        check(command.words, clone)
    for code in inline_code(page):
        words = shlex.split(code) if re.match(r"(dvc|make|python) ", code) else []
        # `dvc exp show` is a name for what it does; with an option it is there to be copied.
        if words and (words[0] != "dvc" or any(word.startswith("-") for word in words)):
            check(words, clone)


def check(words: list[str], clone: Path) -> None:
    """Fail unless the command's program, options, parameters and files are there."""
    match words:
        case ["taskset", "-c", _, *rest]:
            check(rest, clone)
        case ["make", *rest]:
            targets = [word for word in rest if "=" not in word]
            # To make, a folder is a target, too.
            assert {*targets} <= {*re.findall(r"^([\w-]+):", text(clone / "Makefile"), re.MULTILINE)}, words
            run(clone, "make", "-n", *targets)
            for name, value in (word.split("=", 1) for word in rest if "=" in word):
                if name in VARIABLES:
                    check_arguments(VARIABLES[name], shlex.split(value), clone)
        case ["python", "-m", module, *_]:
            name = module.removeprefix("stages.")
            assert name in STAGES or name in ("pytest", "venv"), words
        case ["python" | "python3", "-m", "venv", ".venv"] | [".", ".venv/bin/activate"]:
            pass
        case ["python", program, *rest]:
            check_arguments(program, rest, clone)
        case ["pip", "install", "-r", name]:
            assert (clone / name).is_file(), words
        case ["dvc", *rest]:
            check_dvc(rest)
        case ["git", "add" | "checkout" | "clean" | "commit" | "reset" | "tag", *_]:
            pass  # of these, those in CHEAP are run
        case ["cp", "-r", "~/holiday", "data/mine"]:
            pass
        case _:
            pytest.fail(f"nobody checks {shlex.join(words)}")


def check_arguments(program: str, arguments: list[str], clone: Path) -> None:
    assert (clone / program).is_file(), f"there is no {program}"
    for before, word in zip(["", *arguments], arguments, strict=False):
        if word.startswith("-"):
            assert word.split("=")[0] in options(clone, program), f"{program} has no option {word}"
        elif re.search(r"[./]", word) and before not in WRITTEN:
            known = (clone / word).exists() or word in OUTPUTS | OF_READER
            assert known, f"{program} {word}: there is no such file"
        if before == "--only" or before == "--from":
            assert set(word.split(",")) <= RUNGS, f"{program} {before} {word}: no such rung"


@functools.cache
def options(clone: Path, program: str) -> set[str]:
    return set(re.findall(r"(?<!\S)--?[a-z][\w-]*", run(clone, "python", program, "--help")))


def check_dvc(arguments: list[str]) -> None:
    """DVC's own parser knows the command and its options; the names in it are those of this project."""
    values = vars(get_main_parser().parse_args(arguments))
    for change in values.get("set_param") or []:
        key, _, choices = change.partition("=")
        for choice in choices.split(","):
            params.check(DEFAULTS | {key: yaml.safe_load(choice)})
    if values["cmd"] == "repro" or values.get("set_param") is not None:
        assert set(values["targets"] or []) <= set(STAGES), arguments
    if "artifacts" in arguments:
        assert values["name"] in PIPELINE["artifacts"], arguments
    revisions = [*(values.get("revisions") or []), values.get("experiment") or "HEAD"]
    assert {*revisions} <= RUNGS | experiments() | {"HEAD"}, arguments


@functools.cache
def experiments() -> set[str]:
    """The names that the pages give to their runs."""
    runs = [each.words for page in PAGES for each in commands(page) if each.words[:3] == ["dvc", "exp", "run"]]
    return {words[words.index("-n") + 1] for words in runs if "-n" in words}


@pytest.mark.skipif(os.name == "nt", reason="the commands are those of a Unix shell")
def test_what_is_cheap_runs_as_it_stands(clone):
    assert "brick" in run(clone, "python", "predict.py", "data/sample/brick/001.jpg")
    before = (clone / "params.yaml").read_text()
    (clone / "params.yaml").write_text(before.replace("depth: 2", "depth: 3"))  # as an experiment leaves it
    done: list[list[str]] = []
    for command in (command for page in PAGES for command in commands(page)):
        words = command.words
        if words in done or not any(f"{shlex.join(words)} ".startswith(f"{cheap} ") for cheap in CHEAP):
            continue
        done.append(words)
        shown = run(clone, *(word.replace("~", str(clone / "home")) for word in words))
        if words[:3] == ["dvc", "metrics", "show"]:
            assert {*map(squeezed, command.output)} <= {*map(squeezed, shown.splitlines())}
        if words == ["dvc", "params", "diff"]:
            assert squeezed("params.yaml  depth  2  3") in map(squeezed, shown.splitlines())
    assert (clone / "params.yaml").read_text() == before
    assert (clone / "data/mine.dvc").is_file() and len([*(clone / "data/mine").rglob("*.jpg")]) == len(PATTERNS)
    assert run(clone, "git", "status", "--porcelain", "--untracked-files=all", "data").split() == [
        "??",
        "data/mine.dvc",
    ]
    assert {tuple(cheap.split()[:1]) for cheap in CHEAP} == {tuple(words[:1]) for words in done}


def squeezed(line: str) -> str:
    return " ".join(line.split())


def pages_in_git() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


@pytest.mark.parametrize("page", pages_in_git(), ids=str)
def test_every_link_leads_somewhere(page):
    known = {path.as_posix() for path in tracked_files()}
    for target in re.findall(r"\]\(([^)\s]+)\)", text(ROOT / page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = os.path.normpath(page.parent / name) if name else page.as_posix()
        assert Path(path).as_posix() in known, f"{page}: {target}"
        assert not anchor or anchor in anchors(ROOT / path), f"{page}: {target}"


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_files_and_of_what_is_in_them_are_right(page):
    for code in inline_code(page):
        if re.fullmatch(r"(cnn|stages|tests|bench|docs|web)/[\w./-]*", code) and "NAME" not in code:
            assert (ROOT / code).exists(), code
    for name, target in re.findall(r"\[`(\w+)`\]\(([^)]+\.py)\)", text(page)):
        source = text(page.parent / target)
        assert re.search(rf"^\s*(def |class )?{name}\b", source, re.MULTILINE), f"{target} has no {name}"


@pytest.mark.parametrize("page", [README, JAPANESE], ids=lambda page: page.name)
def test_the_tree_names_folders_that_are_there_and_every_room(page):
    (tree,) = re.findall(r"^```text\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE)
    folders, top = set(), ""
    for indent, name in re.findall(r"^( *)(\S+)/ ", tree, re.MULTILINE):
        top = top if indent else name
        folders.add(f"{top}/{name}" if indent else name)
    there = {parent.as_posix() for path in tracked_files() for parent in path.parents}
    assert folders <= there
    assert len(folders) == len(tree.splitlines())
    assert {each for each in folders if each.startswith("cnn/")} == {
        each for each in there if re.fullmatch(r"cnn/[a-z]+", each)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_numbers_of_ladders_are_those_of_their_tables(page):
    for header, rows in re.findall(r"^(\|.*/ladder\.md\).*)\n\| ---.*\n((?:\|.*\n)+)", text(page), re.MULTILINE):
        tables = [page.parent / link for link in re.findall(r"\]\((\S+/ladder\.md)\)", header)]
        for row in rows.splitlines():
            rung, *shown = cells(row)
            for cell, table in zip(shown, tables, strict=True):
                assert cell in measured(table)[rung], f"{page.name}: {row}"


@functools.cache
def measured(table: Path) -> dict[str, list[str]]:
    """For each rung of a ladder.md what a page may say of it: on top of the one before, and alone on the first."""
    found: dict[str, list[str]] = {}
    for row in re.findall(r"^\| .* \|$", text(table), re.MULTILINE):
        rung, *_, verdict = columns = cells(row)
        if len(columns) > 3:  # of claims, there are three
            found.setdefault(rung, []).append(f"**{columns[2]}**" if verdict == "improved" else columns[2])
    return found


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_numbers_of_the_last_run_are_those_of_its_files(page):
    for file, name, value in re.findall(r"^(reports/\w+\.json) +([a-z]\w+) +(\S+)", text(page), re.MULTILINE):
        assert json.loads(text(ROOT / file))[name] == float(value), f"{page.name}: {name}"
    lock = yaml.safe_load(text(ROOT / "dvc.lock"))["stages"]
    outputs = str(sum(len(stage["outs"]) for stage in lock.values()))
    for counts in re.findall(r"^(\d+) of (\d+) outputs", text(page), re.MULTILINE):
        assert counts == (outputs, outputs)


def test_every_package_has_its_reason():
    lines = text(ROOT / "requirements.txt").splitlines()
    required = {re.split(r"[=<>;\[ ]", line)[0].removesuffix("-cpu") for line in lines if re.match(r"\w", line)}
    rows = re.findall(r"^\| ([^|]+) \|", text(ROOT / "docs/dependencies.md"), re.MULTILINE)
    assert {name for row in rows for name in row.split(", ")} - {"package", "---"} == required


def test_there_is_a_place_for_pictures_in_a_fresh_clone(clone):
    assert (clone / "data/README.md").is_file()
    run(clone, "git", "check-ignore", "--no-index", "--quiet", "data/README.md", code=1)  # no pattern takes it
    run(clone, "git", "check-ignore", "--no-index", "--quiet", "data/mine/cat/1.jpg")
