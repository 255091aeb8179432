"""The ladder, a cumulative ablation: does each change to the model really help? Each rung is a DVC experiment.

    make ladder                                              all rungs on the pictures of params.yaml
    python ladder.py --from baseline --only relu,deeper      some rungs, from another start
    python ladder.py --images data/mine.zip --repeats 10     other pictures, more repeats
    python ladder.py --ladder ladder-counts.yaml             another ladder, with pictures of its own
    python ladder.py --search 20                             try 20 settings from ladder.yaml's search space

Writes ladder.csv, ladder.md and ladder.html (a search: search.csv and search.md) into reports/, those of another
ladder-NAME.yaml into reports/ladder-NAME/. A finished experiment is not run again: stop it when you like and start it
anew. The workspace and params.yaml stay as they are.
Exit codes: 0 all measured; 1 a mistake, or a setting that could not be trained (the others are still compared).
"""

import argparse
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="start", metavar="RUNG", help="the rung to start from (the first one)")
    parser.add_argument("--only", metavar="RUNG,RUNG", help="the rungs to climb after it (all that follow it)")
    parser.add_argument(
        "--ladder", type=Path, metavar="FILE", default="ladder.yaml", help="where the rungs are (ladder.yaml)"
    )
    parser.add_argument("--images", metavar="PATH", help="other pictures than params.yaml names")
    parser.add_argument("--repeats", type=int, metavar="N", help="models trained in each setting (as ladder.yaml says)")
    parser.add_argument("--search", type=int, metavar="N", help="instead of climbing, try N settings")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (see above)")
    parser.add_argument("--no-pictures", action="store_true", help="a page without pictures, to publish it")
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    from cnn.ladder import climb  # only now, so that --help answers at once

    climb.run(options)
