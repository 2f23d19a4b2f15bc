"""One text for the whole item, or a vector for each part? Nearest neighbours and a classifier on both.

python -m benchmarks.item_vectors.run --data ../shared/data --home /tmp/item_vectors
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.record import ROOT, check, write_results
from judge_opt.align.objective import agreement
from judge_opt.experiments.config import data_path, load_config
from judge_opt.judges.rendering import value_text
from judge_opt.judges.template import Template
from judge_opt.labels import LabelledExample, load_examples, make_split
from judge_opt.llm.session import Session
from judge_opt.memory.vectors import ItemEmbedder

HERE = Path(__file__).parent
SPLITS = 20


def vectors(
    examples: Sequence[LabelledExample], names: Sequence[str], template: Template, space: Any, joint: bool
) -> Any:
    items = [{v.name: v.of(dict(e.fields)) for v in template.variables} for e in examples]
    if joint:
        return space.embed(
            ["\n".join(f"{name}: {value_text(item[name])}" for name in names) for item in items]
        )
    return ItemEmbedder(space, names).embed(items)


def one(config_name: str, home: Path) -> list[dict[str, Any]]:
    config, folder = load_config(ROOT / "configs" / config_name)
    value_type = config.judge.values.value_type()
    data = config.data
    examples = load_examples(
        data_path(data, folder),
        None if data.labels else config.judge.name,
        value_type,
        names=data.labels,
        name_field=data.label_field,
        value_map=data.value_map,
    ).examples
    template = Template.parse(config.judge.instructions)
    names = [v.name for v in template.variables]
    place = {e.id: i for i, e in enumerate(examples)}
    rows: list[dict[str, Any]] = []
    with Session(home) as session:
        space = session.embedder("local:/minilm")
        both = {
            "one text": vectors(examples, names, template, space, True),
            "part by part": vectors(examples, names, template, space, False),
        }
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(SPLITS):
        split = make_split(examples, train=100, test=0.4, seed=seed)
        train, _, test = split.select(examples)
        gold = [e.gold for e in test if e.gold is not None]
        labels = [e.gold for e in train if e.gold is not None]
        for way, all_vectors in both.items():
            a = all_vectors[[place[e.id] for e in train]]
            b = all_vectors[[place[e.id] for e in test]]
            near = np.argsort(-(b @ a.T), axis=1, kind="stable")[:, 0]
            said = {
                "nearest neighbour": [labels[i] for i in near],
                "logistic regression": list(
                    LogisticRegression(C=10, max_iter=3000).fit(a, labels).predict(b)
                ),
            }
            for method, values in said.items():
                found.setdefault((way, method), []).append(agreement(gold, values, value_type))
    for (way, method), kappas in found.items():
        rows.append(
            {
                "data": config.name,
                "vectors": way,
                "method": method,
                "splits": SPLITS,
                "kappa_mean": round(statistics.mean(kappas), 3),
                "kappa_sd": round(statistics.stdev(kappas), 3),
                "kappa": [round(k, 3) for k in kappas],
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cebab.jsonl")
    parser.add_argument("--home", type=Path, required=True, help="folder for embeddings")
    options = parser.parse_args()
    os.environ["JUDGE_OPT_DATA"] = str(options.data.resolve())
    rows = [*one("cebab.yaml", options.home), *one("quickstart.yaml", options.home)]

    def kappa(data: str, way: str, method: str) -> float:
        (row,) = [r for r in rows if (r["data"], r["vectors"], r["method"]) == (data, way, method)]
        return float(row["kappa_mean"])

    checks = [
        check(
            f"{data}-{method.split()[0]}",
            f"{data}, {method}: mean kappa part by part over one text",
            kappa(data, "part by part", method) - kappa(data, "one text", method),
            ">=",
            0.0,
        )
        for data in ("cebab", "quickstart")
        for method in ("nearest neighbour", "logistic regression")
    ]
    command = "python -m benchmarks.item_vectors.run --data ../shared/data --home /tmp/item_vectors"
    write_results(HERE, command, rows, checks, ("sentence-transformers", "torch", "scikit-learn"))


if __name__ == "__main__":
    main()
