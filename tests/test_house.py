"""The rules of the house, as the files themselves show them: who imports whom, and what dvc.yaml has to name.

A room is a folder of cnn/. DVC runs a stage again when a room changes that it depends on, or a parameter that it
names, and neither may be missing: the old result would stand as the new one.
"""

import ast
import functools
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml
from conftest import DEFAULTS, ROOT

SOURCES = ("cnn/**/*.py", "stages/*.py", "*.py")
EVERYTHING = (*SOURCES, "bench/*.py", "networks/**/*.py", "tests/**/*.py")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
MAX_LOCAL_IMPORTS = 8
MAX_LINES = 350
KERNELS = "cnn/accelerator/convolution.py"
PARAMS_NAMES = ("p", "params")  # a value of Params has one of these names everywhere
WHOLE = ("asdict", "fields", "getattr", "replace", "vars")  # called with it, they may read any key


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for pattern in SOURCES for path in sorted(ROOT.glob(pattern))}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "cnn" and len(parts) > 1 else None


ROOMS = sorted({name for name in map(room, FILES) if name})


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The project's modules that a module names in its imports, those within functions too."""
    names = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in FILES else node.module)
    return frozenset(names & FILES.keys())


@functools.cache
def used_by(stage: str) -> frozenset[str]:
    """Every module of the project that is loaded where the stage runs."""
    used, left = set(), [f"stages.{stage}"]
    while left:
        module = left.pop()
        if module not in used:
            used.add(module)
            package = module.rpartition(".")[0]  # its __init__ runs first
            left += [*imports(module), *([package] if package else [])]
    return frozenset(used)


def test_the_house_has_its_rooms():
    assert {"common", "data", "model", "training", "accelerator", "evaluation", "export", "inference"} < set(ROOMS)
    assert {"cnn", "stages", "stages.train", "predict"} < FILES.keys()
    assert "cnn.common.dataset" in imports("stages.train")
    assert {"cnn.common.environment", "cnn.accelerator.fold"} < used_by("train")


def test_no_room_imports_a_stage_or_a_program():
    found = [
        f"{module} imports {name}" for module in FILES if room(module) for name in imports(module) if name[:3] != "cnn"
    ]
    assert not found


def test_common_imports_no_other_room():
    found = {name for module in FILES if room(module) == "common" for name in imports(module)}
    assert {room(name) for name in found} == {"common"}


def test_there_is_no_circle_among_rooms_nor_among_modules():
    rooms = {name: set() for name in ROOMS}
    for module in FILES:
        if room(module):
            rooms[room(module)] |= {room(name) for name in imports(module)} - {room(module), None}
    TopologicalSorter(rooms).prepare()  # raises CycleError, which names the circle
    TopologicalSorter({module: imports(module) for module in FILES}).prepare()


def test_the_accelerator_is_used_by_training_alone_and_through_its_door():
    """What is behind the door, the layout of folded pictures above all, is nobody's to know."""
    found = {
        (module, name)
        for module in FILES
        if room(module) != "accelerator"
        for name in imports(module)
        if room(name) == "accelerator"
    }
    assert {name for _, name in found} == {"cnn.accelerator"}
    assert {room(module) for module, _ in found} == {"training"}
    for module, _ in found:
        statements = [ast.unparse(node) for node in TREES[module].body if "accelerator" in ast.unparse(node)]
        assert "from cnn import accelerator" in statements, module


def test_imports_stand_at_the_top_of_a_file():
    local = [
        f"{FILES[module].relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in tree.body
    ]
    assert len(local) <= MAX_LOCAL_IMPORTS, "\n".join([f"{len(local)} local imports:", *local])


def test_no_file_is_too_long_to_be_read_at_a_sitting():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for pattern in EVERYTHING
        for path in ROOT.glob(pattern)
    }
    assert not {name: count for name, count in lengths.items() if count > MAX_LINES and name != KERNELS}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_each_room_that_it_uses_and_on_no_other(stage):
    needed = {
        f"cnn/{room(module)}" if room(module) else str(FILES[module].relative_to(ROOT)) for module in used_by(stage)
    }
    declared = {dep for dep in STAGES[stage]["deps"] if dep.startswith("cnn/") or dep.endswith(".py")}
    assert declared == needed
    assert {"constraints.txt", "requirements.txt"} < set(STAGES[stage]["deps"])


def is_params(node: ast.expr) -> bool:
    """Whether it is `p`, `params`, `self.params` or the like."""
    return getattr(node, "attr", getattr(node, "id", None)) in PARAMS_NAMES


def reads_any(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[2] in WHOLE and any(map(is_params, call.args))


def keys_read(module: str) -> Iterator[str]:
    """The keys of params.yaml that a module reads; "any key" where it does not say which."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Attribute) and is_params(node.value) and node.attr in DEFAULTS:
            yield node.attr
        elif isinstance(node, ast.Call) and reads_any(node):
            yield f"any key, by {ast.unparse(node)}"


def constant(module: str, name: str) -> object:
    """The value of a literal at the top of a module."""
    values = [node.value for node in TREES[module].body if isinstance(node, ast.Assign) and node.targets[0].id == name]
    return ast.literal_eval(values[0])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_each_parameter_that_its_rooms_read_and_no_other(stage):
    """`workers` changes no result, and is nobody's."""
    declared = set()
    for each in STAGES[stage].get("params", []):
        if each == {"params.yaml": None}:
            return  # it depends on every key
        declared.add(each)
    # What checks the parameters reads all of them and lets none into a result.
    modules = used_by(stage) - {"cnn.common.params"}
    read = {key for module in modules for key in keys_read(module)} - {"workers"}
    if stage == "train":
        # It reads all of them by their names once more, for the name of the folder with its checkpoints.
        read.discard("any key, by getattr(p, name)")
    assert read == declared


def test_checkpoints_are_keyed_by_what_the_stage_train_depends_on():
    assert list(constant("stages.train", "PARAMS")) == STAGES["train"]["params"]
    rooms = {f"cnn/{name}" for name in constant("stages.train", "ROOMS")}
    assert rooms == {dep for dep in STAGES["train"]["deps"] if dep.startswith("cnn/") and not dep.endswith(".py")}


def test_parameters_have_the_name_by_which_these_tests_know_them():
    wrong = []
    for module in frozenset().union(*map(used_by, STAGES)):
        for node in ast.walk(TREES[module]):
            if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
                name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
                if ast.unparse(node.annotation).rpartition(".")[2] == "Params" and name not in PARAMS_NAMES:
                    wrong.append(f"{module}: {name}")
            elif isinstance(node, ast.Assign):
                target, value = node.targets[0], node.value
                pairs = [(target, value)]
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = zip(target.elts, value.elts, strict=True)
                for one, other in pairs:
                    if ast.unparse(other).startswith(("params.read(", "params.check(")) and not is_params(one):
                        wrong.append(f"{module}: {ast.unparse(one)}")
    assert not wrong
