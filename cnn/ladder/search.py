"""A search over the space of ladder.yaml, with Optuna's tree-structured Parzen estimator.

Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization (NeurIPS 24). The sampler is seeded and each
trial an experiment, so a search that was stopped goes through its finished trials and on from there.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import optuna

from cnn.common import params
from cnn.common.runtime import UserError
from cnn.ladder.report import AGAIN, Measured
from cnn.ladder.rungs import TRIAL, Ladder, Range, Rung, Setting

OTHER_SEEDS = 1000  # added to the seed when the best trial is measured again


def run(ladder: Ladder, base: params.Params, trials: int, measure: Callable[[Setting], Measured]) -> Iterator[Measured]:
    """Yield what `measure` returns for each of `trials` settings, then for the best one again with other seeds.

    The best of many is partly the luckiest, so its first figure promises too much. The other seeds mean another
    split, too. Raises UserError.
    """
    if not ladder.search:
        raise UserError(
            f"{ladder.file} has no search, which says where to start and over which space: see docs/ladder-results.md"
        )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    bottom = asdict(base) | ladder.up_to(ladder.search.start)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=base.seed))
    best: Measured | None = None
    for number in range(1, trials + 1):
        trial = study.ask()
        changes = {key: _suggest(trial, key, choices) for key, choices in ladder.search.space.items()}
        rung = Rung(name=f"{TRIAL}{number}", changes=changes)
        try:
            values = params.check(bottom | changes, ladder.file)
        except UserError as error:  # values that do not go together, such as many blocks on small pictures
            setting = Setting(rung.name, rung, params.check(bottom, ladder.file), ladder.search.start)
            measured = Measured(setting, None, str(error))
        else:
            measured = measure(Setting(rung.name, rung, values, ladder.search.start))
        if measured.failure:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, measured.score)
            if not best or measured.score > best.score:
                best = measured
        yield measured
    if best:
        again = replace(best.setting.params, seed=base.seed + OTHER_SEEDS)
        yield measure(replace(best.setting, name=AGAIN, params=again))


def _suggest(trial: optuna.Trial, key: str, choices: Range | list) -> object:
    if isinstance(choices, list):
        return trial.suggest_categorical(key, choices)
    if isinstance(choices.low, int) and isinstance(choices.high, int):
        return trial.suggest_int(key, choices.low, choices.high, log=choices.log)
    # Four digits, so that the number is the same in params.yaml and here.
    return float(f"{trial.suggest_float(key, choices.low, choices.high, log=choices.log):.4g}")
