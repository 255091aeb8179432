"""What came of a ladder: ladder.csv, ladder.md and ladder.html, and the words that they use."""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cnn.common import dataset, history, render
from cnn.common.task import Classification
from cnn.evaluation import figures, tables
from cnn.ladder import comparison
from cnn.ladder.comparison import IMPROVED, UNCHANGED, UNKNOWN, WORSE, Difference
from cnn.ladder.experiments import Experiment
from cnn.ladder.rungs import Setting

FAILED, NOTHING = "could not be trained", "nothing to compare with"
AGAIN = "search-best"  # the best trial of a search, measured again
CLAIM_HOLDS = {IMPROVED: "yes", WORSE: "no", UNCHANGED: "no", UNKNOWN: "not known yet"}
NO_NUMBER = "\N{EN DASH}"
SHOWN_CHANGES = 12  # pictures of mistakes fixed, and as many of mistakes made, a step


@dataclass(frozen=True)
class Measured:
    """A setting and its experiment; or, where it could not be trained, the reason."""

    setting: Setting
    experiment: Experiment | None
    failure: str = ""

    @property
    def name(self) -> str:
        return self.setting.name

    @cached_property
    def repeats(self) -> pd.DataFrame:
        """The row of reports/repeats.csv that counts for each repeat."""
        return tables.best_epochs(self._csv(history.REPEATS))

    @cached_property
    def epochs(self) -> pd.DataFrame:
        return self._csv(history.HISTORY)

    @cached_property
    def validation(self) -> pd.DataFrame:
        """reports/validation.csv: the predictions of the best repeat's model for the validation pictures."""
        return self._csv(Path("reports/validation.csv"), dtype={"file": str, "actual": str, "predicted": str})

    @cached_property
    def metrics(self) -> dict[str, float]:
        return json.loads(self.experiment.read("reports/metrics.json"))

    @property
    def score_name(self) -> str:
        """One of cnn.common.task.SCORES."""
        return history.score(self.repeats)

    @property
    def scores(self) -> pd.Series:
        """The validation score of each repeat, of which more is better."""
        return self.repeats[f"val_{self.score_name}"]

    @property
    def score(self) -> float:
        """Their mean."""
        return float(self.scores.mean())

    @property
    def grid(self) -> float:
        """The step between the values that a score can have."""
        return 1 / len(self.validation) if self.score_name == Classification.score else 0.0

    @property
    def spread(self) -> str:
        """The validation score in words."""
        if self.failure:
            return NO_NUMBER
        values = self.scores
        return f"{values.mean():.3f} ± {values.std():.3f}" if len(values) > 1 else f"{values.mean():.3f}"

    @property
    def time(self) -> str:
        """How long the experiment took here, in words."""
        seconds = None if self.failure else self.experiment.seconds()
        return f"{seconds:.0f} s" if seconds else "not run here"

    def validation_images(self) -> np.ndarray | None:
        """uint8 (n, size, size, 3) in the order of `validation`; None where DVC's cache no longer has them."""
        path = dataset.array_files("validation")[0].as_posix()
        try:
            with self.experiment.open_output(path) as file:
                return np.load(io.BytesIO(file.read()), allow_pickle=False)
        except Exception as error:  # DVC's errors have no common class
            print(f"{self.name}: shown without pictures, which are not in DVC's cache ({type(error).__name__})")
            return None

    def _csv(self, path: Path, **options: object) -> pd.DataFrame:
        return pd.read_csv(io.BytesIO(self.experiment.read(path.as_posix())), keep_default_na=False, **options)


@dataclass(frozen=True)
class Compared:
    """A line of the tables: a setting and how it differs from the one that it came from."""

    table: str  # "ladder": compared with the rung before; "alone": with the first one
    measured: Measured
    before: Measured | None
    score: Difference | None
    loss: Difference | None
    verdict: str
    needed: int | None  # repeats, where there were too few

    @property
    def rung(self) -> str:
        return self.measured.setting.rung.name

    @property
    def changes(self) -> str:
        """The parameters that differ from the setting before, such as `depth 2 to 3`."""
        if self.before is None:
            return ""
        old, new = asdict(self.before.setting.params), asdict(self.measured.setting.params)
        return ", ".join(f"{key} {_text(old[key])} to {_text(new[key])}" for key in new if old[key] != new[key])

    @property
    def claim_holds(self) -> str:
        """Whether the claim holds on these pictures."""
        return CLAIM_HOLDS.get(self.verdict, "not known") if self.before else ""

    @property
    def words(self) -> str:
        """The verdict, with what to do where it leaves the question open."""
        if self.verdict != UNKNOWN:
            return self.verdict
        return f"{UNKNOWN}; about {self.needed:,} needed" if self.needed else f"{UNKNOWN}; try at least 5"


def compare(measured: Sequence[Measured], min_effect: float) -> list[Compared]:
    """The lines of the tables "ladder" and "alone", each of which compares every rung but the first.

    measured: as rungs.settings orders them. The intervals of a table hold together with 95%: the two answer
    different questions.
    """
    named = {each.name: each for each in measured}
    ladder = [each for each in measured if each.name == each.setting.rung.name]
    alone = [*measured[1:2], *measured[len(ladder) :]]  # the first change stands alone in the ladder already
    confidence = comparison.level(len(ladder) - 1)
    lines = []
    for table, each in [*(("ladder", each) for each in ladder), *(("alone", each) for each in alone)]:
        before = named[each.setting.before] if each.setting.before else None
        score = loss = needed = None
        verdict = FAILED if each.failure else NOTHING if before and before.failure else ""
        if before and not verdict:
            score = comparison.paired(before.scores, each.scores, confidence, each.grid)
            loss = comparison.paired(before.repeats["val_loss"], each.repeats["val_loss"], confidence)
            verdict = comparison.verdict(score, min_effect)
            needed = comparison.repeats_needed(score, min_effect, confidence) if verdict == UNKNOWN else None
        lines.append(Compared(table, each, before, score, loss, verdict, needed))
    return lines


def write(
    folder: Path, measured: Sequence[Measured], images: str, command: str, min_effect: float, pictures: bool
) -> Path:
    """Write ladder.csv, ladder.md, ladder.html and the two figures into `folder`; return the page's path.

    images: what the pages call them; pictures: whether the page may show them. At least one setting was trained.
    """
    lines = compare(measured, min_effect)
    ladder = [line for line in lines if line.table == "ladder"]
    trained = [each for each in measured if not each.failure]
    climbed = [line.measured for line in ladder if not line.measured.failure]
    score = trained[0].score_name
    page, curves, bars = folder / "ladder.html", folder / "ladder-curves.svg", folder / f"ladder-{score}.svg"
    tables.write_table(folder / "ladder.csv", pd.DataFrame([_row(line, score) for line in lines]))
    figures.many_curves(curves, {each.name: each.epochs for each in climbed}, score)
    figures.intervals(
        bars,
        {each.name: each.scores.tolist() for each in trained},
        {each.name: comparison.interval_of_mean(each.scores) for each in trained},
        score,
    )
    values = {
        "images": images,
        "command": command,
        "ladder": ladder,
        "alone": [line for line in lines if line.table == "alone"],
        "best": max(trained, key=lambda each: each.score),
        "measured": trained,
        "repeats": measured[0].setting.params.repeats,
        "min_effect": min_effect,
        "score": score,
        "word": figures.WORDS.get(score, score),
        "chance": trained[0].metrics["chance"],
        "names": [each.experiment.name for each in climbed],
        "interval": _interval,
    }
    render.write(folder / "ladder.md", "ladder/templates/ladder.md.j2", **values)
    render.write(
        page,
        "ladder/templates/ladder.html.j2",
        **values,
        better={IMPROVED: "better", WORSE: "worse"},
        curves=render.figure_source(curves),
        bars=render.figure_source(bars),
        steps=[_step(line, pictures) for line in ladder if line.score],
    )
    return page


def write_search(folder: Path, measured: Sequence[Measured], images: str, command: str) -> Path:
    """Write search.csv, in the order of the trials, and search.md, the best first; return the latter's path."""
    trials = [each for each in measured if each.name != AGAIN]
    score = next(each.score_name for each in measured if not each.failure)
    rows = []
    for each in measured:
        row: dict[str, object] = {"name": each.name}
        row |= {key: _text(value) for key, value in each.setting.rung.changes.items()}
        row |= {f"val_{score}": None if each.failure else each.score}
        row |= {"val_loss": None if each.failure else each.repeats["val_loss"].mean()}
        rows.append(row | {"failure": each.failure})
    tables.write_table(folder / "search.csv", pd.DataFrame(rows))
    page = folder / "search.md"
    render.write(
        page,
        "ladder/templates/search.md.j2",
        images=images,
        command=command,
        word=figures.WORDS.get(score, score),
        keys=list(measured[0].setting.rung.changes),
        trials=sorted(trials, key=lambda each: (bool(each.failure), 0 if each.failure else -each.score)),
        again=next((each for each in measured if each.name == AGAIN and not each.failure), None),
        start=measured[0].setting.before,
        text=lambda each, key: _text(each.setting.rung.changes[key]),
    )
    return page


def _row(line: Compared, score: str) -> dict[str, object]:
    row: dict[str, object] = {
        "table": line.table,
        "rung": line.rung,
        "compared_with": line.before.name if line.before else "",
        "changes": line.changes,
        "verdict": line.verdict,
        "repeats": line.measured.setting.params.repeats,
    }
    for name in (f"val_{score}", "val_loss"):
        numbers = None if line.measured.failure else line.measured.repeats[name]
        row[name] = None if numbers is None else numbers.mean()
        row[f"{name}_std"] = None if numbers is None or len(numbers) < 2 else numbers.std()
    for name, difference in ((score, line.score), ("loss", line.loss)):
        for part in ("mean", "low", "high"):
            row[f"{name}_difference_{part}"] = getattr(difference, part) if difference else None
    row["repeats_needed"] = "" if line.needed is None else str(line.needed)
    return row


def _step(line: Compared, pictures: bool) -> dict[str, object]:
    """The validation pictures for which the models of a rung and of the rung before differ most.

    For classes those that only one of them has right; for numbers those where the one is nearer than the other.
    """
    old, new = line.before.validation, line.measured.validation
    images = line.measured.validation_images() if pictures else None
    if line.measured.score_name == Classification.score:
        was_right, is_right = old["actual"] == old["predicted"], new["actual"] == new["predicted"]
        better, worse, weight = ~was_right & is_right, was_right & ~is_right, new["probability"]
        words = f"{better.sum()} fixed, {worse.sum()} made, {(~was_right & ~is_right).sum()} wrong in both"
        actual, predicted, headings = "actual", "predicted", ("Fixed", "Made")
    else:
        gain = old["error"].abs() - new["error"].abs()
        better, worse, weight = gain > 0, gain < 0, gain.abs()
        words = f"{better.sum()} nearer, {worse.sum()} farther"
        actual, predicted, headings = "target", "value", ("Nearer", "Farther")
    order = new.assign(weight=weight).sort_values(["weight", "file"], ascending=[False, True], kind="stable").index

    def gallery(changed: pd.Series) -> list[dict[str, object]]:
        return [
            {
                "source": render.picture_source(images[row]),
                "file": new["file"][row],
                "actual": _label(new[actual][row]),
                "was": _label(old[predicted][row]),
                "now": _label(new[predicted][row]),
            }
            for row in order[changed[order]][:SHOWN_CHANGES]
        ]

    groups = [] if images is None else zip(headings, (better, worse), strict=True)
    groups = [(heading, int(changed.sum()), gallery(changed)) for heading, changed in groups]
    return {"line": line, "words": words, "groups": groups}


def _label(value: object) -> str:
    return value if isinstance(value, str) else render.number(float(value))


def _interval(difference: Difference | None) -> str:
    """A mean difference and its interval in words."""
    if difference is None:
        return NO_NUMBER
    if math.isinf(difference.low):
        return _signed(difference.mean)
    return f"{_signed(difference.mean)} ({_signed(difference.low)} to {_signed(difference.high)})"


def _signed(number: float) -> str:
    """Such as +0.120, or 0.000, with a true minus sign."""
    text = f"{number:+.3f}"
    return "0.000" if text[1:] == "0.000" else text.replace("-", "\N{MINUS SIGN}")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
