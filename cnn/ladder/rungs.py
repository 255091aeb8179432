"""ladder.yaml: a cumulative ablation as rungs, each of which changes something in the one before; and a search space.

images: data/mine          # if not those of params.yaml
repeats: 5                 # models trained in each setting
min_effect: 0.02           # the smallest difference in validation accuracy, or R2, that is of interest
rungs:
- name: baseline
  changes: {activation: sigmoid, learning_rate: 0.5}
- name: relu
  changes: {activation: relu}
  claim: what people claim of this change, if anything
search:                    # for ladder.py --search
  from: relu               # the rung whose other parameters stay
  repeats: 3
  space:
    depth: [2, 3, 4]                                   # one of these
    learning_rate: {low: 0.0001, high: 0.1, log: true} # or any number between
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from cnn.common import params
from cnn.common.params import nearest
from cnn.common.runtime import UserError

FILE = "ladder.yaml"
# Of params.yaml, and no rung's: they decide on which pictures settings are compared, or are the ladder's own.
OTHER_KEYS = ("images", "image_size", "validation", "test", "max_rejected", "seed", "repeats", "workers")
ALONE, TRIAL = "-alone", "search-"  # in names of settings that are made from rungs
OLD_KEY, NEW_KEY = "worth", "min_effect"
Values = dict[str, object]
# A name that git takes for an experiment, and any file system.
NAME = Field(
    pattern="^[a-z0-9]+(-[a-z0-9]+)*$", description="allowed: small letters, digits and single dashes between them"
)
POSITIVE = Field(gt=0, description="expected a number above 0")
RANGE = "expected numbers with low below high, above 0 for log"
BOUND = Field(allow_inf_nan=False, description=RANGE)


def _parameter(key: object) -> object:
    known = [name for name in params.names() if name not in OTHER_KEYS]
    if key not in known:
        raise ValueError(f"{key!r} is no parameter that a rung can change; {nearest(str(key), known)}")
    return key


Parameter = Annotated[object, AfterValidator(_parameter)]


class Section(BaseModel, strict=True, extra="forbid", frozen=True):
    """A mapping in the file. The description of a field is what a user reads of a value that it refuses."""


class Rung(Section):
    """A named change of parameters, and what people claim of it."""

    name: Annotated[str, NAME]
    changes: Annotated[dict[Parameter, object], Field(min_length=1, description="expected such as {activation: relu}")]
    claim: Annotated[str, BeforeValidator(lambda claim: " ".join(str(claim or "").split()))] = ""


class Range(Section):
    """Any number between two. log: each power of ten is as likely as the next."""

    low: Annotated[int | float, BOUND]
    high: Annotated[int | float, BOUND]
    log: Annotated[bool, Field(description="allowed: true or false")] = False


def _space(space: dict[str, Range | list]) -> dict[str, Range | list]:
    for key, choices in space.items():
        if isinstance(choices, Range) and (choices.low >= choices.high or (choices.log and choices.low <= 0)):
            raise ValueError(f"space: {key} is {choices.model_dump(exclude_unset=True)}; {RANGE}")
        for value in choices if isinstance(choices, list) else (choices.low, choices.high):
            if words := params.refusal(key, value):
                raise ValueError(f"space: {key} is {value!r}; {words}")
    return space


class Search(Section):
    """A search from the rung `start`. space: for each key its choices, or a range."""

    start: Annotated[str, Field(alias="from", description="expected the name of a rung")]
    repeats: Annotated[int, POSITIVE] = 3
    space: Annotated[
        dict[Parameter, Range | Annotated[list, Field(min_length=1)]],
        Field(min_length=1, description="expected such as {depth: [2, 3, 4]}"),
        AfterValidator(_space),
    ]


class Ladder(Section):
    """The whole file. images: None for those of params.yaml."""

    images: object = None  # a path, as in params.yaml
    repeats: Annotated[int, POSITIVE] = 5
    min_effect: Annotated[float, POSITIVE] = 0.02
    rungs: Annotated[list[Rung], Field(min_length=1, description="expected `- name: baseline` and so on below it")]
    search: Search | None = None
    _file: str = FILE

    @property
    def file(self) -> str:
        """Where it was read from."""
        return self._file

    @model_validator(mode="after")
    def _check(self) -> "Ladder":
        if "images" in self.model_fields_set and (words := params.refusal("images", self.images)):
            raise ValueError(f"images is {self.images!r}; {words}")
        names = [rung.name for rung in self.rungs]
        for number, name in enumerate(names, start=1):
            if name.endswith(ALONE) or name.startswith(TRIAL):
                raise ValueError(
                    f"rung {number}: name is {name!r}; names that end with {ALONE} or begin with {TRIAL} are taken"
                )
            if names.count(name) > 1:
                raise ValueError(f"two rungs are named {name!r}; each needs a name of its own")
        if self.search:
            self.rung(self.search.start)
        return self

    def rung(self, name: str) -> Rung:
        """The rung of that name. Raises UserError."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise UserError(f"no rung is named {name!r}; {nearest(name, [rung.name for rung in self.rungs])}")

    def up_to(self, name: str) -> Values:
        """All that the rungs from the first to that of `name` change together."""
        last = self.rungs.index(self.rung(name))
        return {key: value for rung in self.rungs[: last + 1] for key, value in rung.changes.items()}

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
    content = params.read_yaml(path, "it lists the rungs of the ladder: see docs/ladder-results.md")
    if isinstance(content, dict) and OLD_KEY in content and NEW_KEY not in content:
        print(f"{path}: {OLD_KEY} is now called {NEW_KEY}; the old name is still read", file=sys.stderr)
        content[NEW_KEY] = content.pop(OLD_KEY)
    try:
        ladder = Ladder.model_validate(content)
    except ValidationError as error:
        raise UserError(_message(str(path), error.errors()[0], content)) from None
    ladder._file = str(path)
    return ladder


def settings(ladder: Ladder, start: str, only: Sequence[str], base: params.Params) -> list[Setting]:
    """The settings of the ladder from the rung `start` over the rungs `only`, then each of these alone on `start`.

    The first takes all that is changed up to `start`; the parameters that no rung changes are those of `base`.
    A change that comes first on the ladder stands alone already and is not repeated. Raises UserError.
    """
    first = ladder.rung(start)
    for name in (start, *only):
        if [start, *only].count(name) > 1:
            raise UserError(f"the rung {name!r} is named twice; name each once")
    bottom = asdict(base) | ladder.up_to(start)

    def setting(name: str, rung: Rung, values: Values, before: str | None) -> Setting:
        return Setting(name, rung, params.check(values, f"{ladder.file}, rung {rung.name}"), before)

    climbed = [setting(start, first, bottom, None)]
    for rung in map(ladder.rung, only):
        last = climbed[-1]
        climbed.append(setting(rung.name, rung, asdict(last.params) | rung.changes, last.name))
    alone = [setting(f"{rung.name}{ALONE}", rung, bottom | rung.changes, start) for rung in map(ladder.rung, only[1:])]
    return climbed + alone


def as_name(file: str) -> str:
    """What a file or folder is called in the name of an experiment: stl10-4 for STL10_4.zip."""
    return "-".join(re.findall(r"[a-z0-9]+", file.split(".")[0].lower())) or "pictures"


SECTIONS = {"rungs": Rung, "search": Search, "space": Range}  # by the last of these keys on the way to a mistake
NO_KEYS = ("Range", "int", "float", "[key]")  # what else pydantic names on that way


def _message(path: str, error: ErrorDetails, content: object) -> str:
    """The mistake as one line: where it is, what stands there and what is expected."""
    kind, value = error["type"], error["input"]
    way = [step for step in error["loc"] if step not in NO_KEYS]
    section = way if kind == "model_type" else way[:-1]
    model = next((SECTIONS[step] for step in reversed(section) if step in SECTIONS), Ladder)
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    if section[:1] == ["rungs"]:
        name = f" ({content['rungs'][section[1]]['name']})" if "changes" in way else ""
        section = [f"rung {section[1] + 1}{name}"]
    where = ": ".join([path, *map(str, section)])
    if kind == "model_type":
        needed = sorted(key for key, field in fields.items() if field.is_required())
        return f"{where} is {value!r}; expected the keys {', '.join(needed)}"
    if kind == "value_error":
        return f"{where}: {error['ctx']['error']}"
    key = way[-1]
    if kind == "missing":
        return f"{where}: {key} is missing"
    if key not in fields:
        return f"{where}: unknown key {key!r}; {nearest(str(key), sorted(fields))}"
    return f"{where}: {key} is {'no list' if key == 'rungs' else repr(value)}; {fields[key].description}"
