"""ladder.yaml: rungs, each of which changes something in the one before, and the space of a search.

images: data/mine          # if not those of params.yaml
repeats: 5                 # models trained in each setting
worth: 0.02                # the smallest difference in validation accuracy, or R2, that is of interest
rungs:
- name: baseline
  changes: {activation: sigmoid, learning_rate: 0.5}
- name: relu
  changes: {activation: relu}
  claim: what is said of this change, if anything
search:                    # for ladder.py --search
  from: relu               # the rung whose other parameters are kept
  repeats: 3
  space:
    depth: [2, 3, 4]                                   # one of these
    learning_rate: {low: 0.0001, high: 0.1, log: true} # or any number between
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from cnn.common import params
from cnn.common.params import nearest
from cnn.common.runtime import UserError

FILE = "ladder.yaml"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # a name that git takes for an experiment, and any file system
# Of params.yaml, and no rung's: they decide on which pictures settings are compared, or are the ladder's own.
OTHER_KEYS = ("images", "image_size", "validation", "test", "max_rejected", "seed", "repeats", "workers")
ALONE, TRIAL = "-alone", "search-"  # in names of settings that are made from rungs
Values = dict[str, object]


@dataclass(frozen=True)
class Rung:
    """A named change of parameters, and what is said of it."""

    name: str
    changes: Values
    claim: str = ""


@dataclass(frozen=True)
class Search:
    """A search from the rung `start`: for each key a list of choices, or low, high and log of a number."""

    start: str
    repeats: int
    space: dict[str, list | dict]


@dataclass(frozen=True)
class Ladder:
    file: str
    images: str | None  # None: those of params.yaml
    repeats: int
    worth: float
    rungs: tuple[Rung, ...]
    search: Search | None

    def rung(self, name: str) -> Rung:
        """The rung of that name. Raises UserError."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise UserError(f"no rung is named {name!r}; {nearest(name, [rung.name for rung in self.rungs])}")

    def up_to(self, name: str) -> Values:
        """All that the rungs from the first to that of `name` change together."""
        values: Values = {}
        last = self.rung(name)
        for rung in self.rungs:
            values |= rung.changes
            if rung is last:
                break
        return values

    def after(self, name: str) -> list[str]:
        """The names of the rungs that follow that of `name`."""
        return [rung.name for rung in self.rungs[self.rungs.index(self.rung(name)) + 1 :]]


@dataclass(frozen=True)
class Setting:
    """One thing to train and measure: the parameters, and how it came about from the setting `before`."""

    name: str
    rung: Rung
    params: params.Params
    before: str | None  # the name of another setting


def read(path: str | Path = FILE) -> Ladder:
    """The checked ladder. Raises UserError."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; it lists the rungs of the ladder: see README.md") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date that there is not
        mark = getattr(error, "problem_mark", None)
        raise UserError(f"{path}{f', line {mark.line + 1}' if mark else ''} is not valid YAML") from None
    content = _mapping(content, str(path), {"rungs"}, {"images", "repeats", "worth", "search"})
    if not isinstance(content["rungs"], list) or not content["rungs"]:
        raise UserError(f"{path}: rungs is no list; expected `- name: baseline` and so on below it")
    rungs = tuple(_rung(each, f"{path}: rung {number}") for number, each in enumerate(content["rungs"], start=1))
    names = [rung.name for rung in rungs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: two rungs are named {name!r}; each needs a name of its own")
    if "images" in content and not params.CHECKS["images"].accepts(content["images"]):
        raise UserError(f"{path}: images is {content['images']!r}; {params.CHECKS['images'].allowed}")
    ladder = Ladder(
        file=str(path),
        images=content.get("images"),
        repeats=_positive(content.get("repeats", 5), int, f"{path}: repeats"),
        worth=float(_positive(content.get("worth", 0.02), (int, float), f"{path}: worth")),
        rungs=rungs,
        search=_search(content["search"], f"{path}: search") if content.get("search") else None,
    )
    if ladder.search:
        ladder.rung(ladder.search.start)
    return ladder


def climb(ladder: Ladder, start: str, only: Sequence[str], base: params.Params) -> list[Setting]:
    """The settings of the ladder from the rung `start` over the rungs `only`, then each of these alone on `start`.

    The first takes all that is changed up to `start`; the parameters that no rung changes are those of `base`.
    A change that comes first on the ladder stands alone already and is not repeated. Raises UserError.
    """
    first = ladder.rung(start)
    for name in (start, *only):
        if [start, *only].count(name) > 1:
            raise UserError(f"the rung {name!r} is named twice; name each once")
    bottom = asdict(base) | ladder.up_to(start)

    def checked(values: Values, rung: Rung) -> params.Params:
        return params.check(values, f"{ladder.file}, rung {rung.name}")

    settings = [Setting(first.name, first, checked(bottom, first), None)]
    for name in only:
        rung = ladder.rung(name)
        after = checked(asdict(settings[-1].params) | rung.changes, rung)
        settings.append(Setting(rung.name, rung, after, settings[-1].name))
    alone = []
    for name in only[1:]:
        rung = ladder.rung(name)
        alone.append(Setting(f"{rung.name}{ALONE}", rung, checked(bottom | rung.changes, rung), first.name))
    return settings + alone


def as_name(file: str) -> str:
    """What a file or folder is called in the name of an experiment: stl10-4 for STL10_4.zip."""
    return "-".join(re.findall(r"[a-z0-9]+", file.split(".")[0].lower())) or "pictures"


def _rung(content: object, where: str) -> Rung:
    content = _mapping(content, where, {"name", "changes"}, {"claim"})
    name, changes = content["name"], content["changes"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UserError(f"{where}: name is {name!r}; allowed: small letters, digits and single dashes between them")
    if name.endswith(ALONE) or name.startswith(TRIAL):
        raise UserError(f"{where}: name is {name!r}; names that end with {ALONE} or begin with {TRIAL} are taken")
    if not isinstance(changes, dict) or not changes:
        raise UserError(f"{where} ({name}): changes is {changes!r}; expected such as {{activation: relu}}")
    for key in changes:
        _parameter(key, f"{where} ({name})")
    return Rung(name, changes, " ".join(str(content.get("claim") or "").split()))


def _search(content: object, where: str) -> Search:
    content = _mapping(content, where, {"from", "space"}, {"repeats"})
    space = content["space"]
    if not isinstance(space, dict) or not space:
        raise UserError(f"{where}: space is {space!r}; expected such as {{depth: [2, 3, 4]}}")
    for key, choices in space.items():
        _parameter(key, f"{where}: space")
        if isinstance(choices, list) and choices:
            _accepted(key, choices, f"{where}: space")
            continue
        choices = _mapping(choices, f"{where}: space: {key}", {"low", "high"}, {"log"})
        numbers = all(type(choices[end]) in (int, float) and math.isfinite(choices[end]) for end in ("low", "high"))
        if not numbers or choices["low"] >= choices["high"] or (choices.get("log") and choices["low"] <= 0):
            raise UserError(
                f"{where}: space: {key} is {choices!r}; expected numbers with low below high, above 0 for log"
            )
        _accepted(key, [choices["low"], choices["high"]], f"{where}: space")
    return Search(str(content["from"]), _positive(content.get("repeats", 3), int, f"{where}: repeats"), space)


def _parameter(key: object, where: str) -> None:
    known = [name for name in params.CHECKS if name not in OTHER_KEYS]
    if key not in known:
        raise UserError(f"{where}: {key!r} is no parameter that a rung can change; {nearest(str(key), known)}")


def _accepted(key: str, values: Sequence[object], where: str) -> None:
    for value in values:
        if not params.CHECKS[key].accepts(value):
            raise UserError(f"{where}: {key} is {value!r}; {params.CHECKS[key].allowed}")


def _mapping(content: object, where: str, needed: set[str], more: set[str]) -> dict:
    if not isinstance(content, dict):
        raise UserError(f"{where} is {content!r}; expected the keys {', '.join(sorted(needed))}")
    for key in sorted(needed - set(content)):
        raise UserError(f"{where}: {key} is missing")
    for key in content:
        if key not in needed | more:
            raise UserError(f"{where}: unknown key {key!r}; {nearest(str(key), sorted(needed | more))}")
    return content


def _positive(value: object, kind: type | tuple[type, ...], where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, kind) or not value > 0:
        raise UserError(f"{where} is {value!r}; expected a number above 0")
    return value
