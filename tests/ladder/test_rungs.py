"""ladder.yaml: what it says is what is trained, and a mistake in it is one clear line."""

from dataclasses import asdict, replace

import pytest
import yaml
from conftest import DEFAULTS, ROOT

from cnn.common import params
from cnn.common.runtime import UserError
from cnn.ladder import rungs

BASE = replace(params.check(DEFAULTS), activation="tanh", epochs=77, repeats=4)
GOOD = {
    "rungs": [
        {"name": "first", "changes": {"depth": 1, "epochs": 5}},
        {"name": "second", "changes": {"depth": 2}, "claim": "two are better"},
        {"name": "third", "changes": {"optimizer": "adam", "learning_rate": 0.001}},
    ]
}


def written(tmp_path, **changes):
    path = tmp_path / "ladder.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return path


def summary(ladder, start, only):
    return [
        (each.name, each.before, each.params.depth, each.params.optimizer)
        for each in rungs.settings(ladder, start, only, BASE)
    ]


def test_the_shipped_ladder_is_the_articles_and_more():
    ladder = rungs.read(ROOT / "ladder.yaml")
    names = [rung.name for rung in ladder.rungs]
    assert names[:5] == ["baseline", "relu", "learning-rate", "deeper", "adagrad"]
    climbed = {each.name: each.params for each in rungs.settings(ladder, "baseline", names[1:], BASE)}
    assert (climbed["baseline"].activation, climbed["baseline"].learning_rate) == ("sigmoid", 0.5)
    assert (climbed["adagrad"].activation, climbed["adagrad"].depth, climbed["adagrad"].learning_rate) == (
        *("relu", 3),
        0.01,
    )
    assert (climbed["adagrad-alone"].activation, climbed["adagrad-alone"].depth) == ("sigmoid", 2)
    # The first rung says everything that later ones change, and everything about the model and its training.
    own = set(asdict(BASE)) - {"images", "image_size", "validation", "test", "max_rejected", *rungs.OTHER_KEYS}
    assert set(ladder.rungs[0].changes) == own
    assert climbed["baseline"].epochs == 5


def test_the_ladders_of_the_drawn_pictures_have_pictures_of_their_own():
    for name in ("counts", "scratches"):
        ladder = rungs.read(ROOT / f"ladder-{name}.yaml")
        assert ladder.images == f"data/{name}"
        rungs.settings(ladder, ladder.rungs[0].name, [rung.name for rung in ladder.rungs[1:]], params.check(DEFAULTS))


def test_each_rung_stands_on_the_one_before_and_then_alone(tmp_path):
    ladder = rungs.read(written(tmp_path))
    assert summary(ladder, "first", ["second", "third"]) == [
        ("first", None, 1, "sgd"),
        ("second", "first", 2, "sgd"),
        ("third", "second", 2, "adam"),
        ("third-alone", "first", 1, "adam"),
    ]
    assert summary(ladder, "second", ["third"]) == [("second", None, 2, "sgd"), ("third", "second", 2, "adam")]
    assert summary(ladder, "first", ["third"])[1] == ("third", "first", 1, "adam")
    first = rungs.settings(ladder, "first", [], BASE)[0].params
    assert (first.activation, first.epochs, first.repeats) == ("tanh", 5, 4)  # its own, or else the file's


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rungs": []}, "rungs is no list"),
        ({"rungs": [{"name": "a b", "changes": {"depth": 2}}]}, "name is 'a b'; allowed: small letters"),
        ({"rungs": [{"name": "../x", "changes": {"depth": 2}}]}, "name is '../x'"),
        (
            {"rungs": [{"name": "a", "changes": {"dept": 2}}]},
            "rung 1 (a): 'dept' is no parameter that a rung can change; did you mean 'depth'?",
        ),
        ({"rungs": [{"name": "a", "changes": {"repeats": 2}}]}, "'repeats' is no parameter that a rung can change"),
        ({"rungs": [{"name": "a", "changes": {}}]}, "changes is {}"),
        ({"rungs": [{"name": "a"}]}, "changes is missing"),
        ({"rungs": [{"name": "a", "changes": {"depth": 2}}] * 2}, "two rungs are named 'a'"),
        ({"rungs": ["a"]}, "rung 1 is 'a'; expected the keys changes, name"),
        (
            {"rungs": [{"name": "a", "changes": {"depth": 2}, "clam": "x"}]},
            "rung 1: unknown key 'clam'; did you mean 'cl",
        ),
        ({"rungs": [{"name": "a", "changes": {"validation": 0.1}}]}, "'validation' is no parameter that a rung can"),
        ({"rungs": [{"name": "a-alone", "changes": {"depth": 2}}]}, "names that end with -alone"),
        ({"search": {"from": "first", "space": {"depth": {"low": 1, "high": float("inf")}}}}, "expected numbers"),
        ({"search": {"from": "first", "space": {"depth": [2, 99]}}}, "depth is 99; allowed: a whole number"),
        ({"repeat": 3}, "unknown key 'repeat'; did you mean 'repeats'?"),
        ({"repeats": 0}, "repeats is 0"),
        ({"images": 3}, "images is 3; allowed: the path"),
        ({"min_effect": "much"}, "min_effect is 'much'"),
        ({"min_effects": 0.1}, "unknown key 'min_effects'; did you mean 'min_effect'?"),
        ({"worth": 0.1, "min_effect": 0.1}, "unknown key 'worth'"),
        ({"search": 3}, "search is 3; expected the keys from, space"),
        ({"search": {"from": "nowhere", "space": {"depth": [1]}}}, "no rung is named 'nowhere'"),
        ({"search": {"from": "first", "space": {"depth": {"low": 3, "high": 2}}}}, "expected numbers with low below"),
        ({"search": {"from": "first", "space": {"depth": []}}}, "space: depth is []"),
        (
            {"search": {"from": "first", "space": {"dept": [1]}}},
            "search: space: 'dept' is no parameter that a rung can",
        ),
        ({"search": {"from": "first", "space": {"depth": {"low": 1, "hihg": 2, "high": 2}}}}, "did you mean 'high'?"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path, changes, words):
    with pytest.raises(UserError) as caught:
        rungs.read(written(tmp_path, **changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_old_name_of_min_effect_is_still_read_and_one_line_names_the_new_one(tmp_path, capsys):
    assert rungs.read(written(tmp_path, worth=0.5)).min_effect == 0.5
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and "worth is now called min_effect" in printed.err
    assert not printed.out
    assert rungs.read(written(tmp_path, min_effect=0.5)).min_effect == 0.5
    assert not capsys.readouterr().err


def test_a_value_that_no_stage_would_take_is_refused_before_any_work(tmp_path):
    ladder = rungs.read(written(tmp_path, rungs=[*GOOD["rungs"], {"name": "deep", "changes": {"depth": 9}}]))
    with pytest.raises(UserError, match=r"rung deep: depth is 9.*largest depth"):
        rungs.settings(ladder, "first", ["second", "deep"], BASE)
    with pytest.raises(UserError, match="no rung is named 'thrid'; did you mean 'third'"):
        rungs.settings(ladder, "first", ["thrid"], BASE)


@pytest.mark.parametrize(
    ("file", "name"),
    [("stl10-4.zip", "stl10-4"), ("My Photos (2).tar.gz", "my-photos-2"), ("写真", "pictures"), ("a_b", "a-b")],
)
def test_names_of_experiments_are_plain(file, name):
    assert rungs.as_name(file) == name
    assert rungs.Rung(name=name, changes={"depth": 2}).name == name
