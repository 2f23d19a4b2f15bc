"""Optimizers in a configuration: by name, with settings that are checked before anything else happens."""

import pytest
import yaml

from judge_opt.align.calibrate import Calibrate
from judge_opt.align.chain import Chain
from judge_opt.core.errors import ConfigError
from judge_opt.experiments.config import load_config
from judge_opt.experiments.run import _optimizer


def config(tmp_path, **optimizer):
    body = {
        "name": "x",
        "data": {"path": "rows.jsonl"},
        "judge": {"name": "j", "instructions": "Is {{ outputs }} good?", "values": {"bool": True}},
        "split": {"train": 0.5, "test": 0.5},
        "concurrency": 3,
        "optimizer": optimizer,
    }
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(body), encoding="utf-8")
    return load_config(path)[0]


def test_names_and_settings_make_optimizers(tmp_path):
    made = _optimizer(config(tmp_path, name="calibrate", settings={"sure": 0.9}))
    assert made == Calibrate(sure=0.9, concurrency=3)
    steps = ["noop", {"name": "dspy", "settings": {"teleprompter": "LabeledFewShot"}}, "calibrate"]
    chain = _optimizer(config(tmp_path, name="chain", settings={"steps": steps}))
    assert isinstance(chain, Chain)
    assert [step.name for step in chain.steps] == ["noop", "dspy LabeledFewShot", "calibrate"]
    dotted = _optimizer(config(tmp_path, name="judge_opt.align.noop:NoOp"))
    assert dotted.name == "noop"


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"name": "calibrat"}, "No optimizer is called 'calibrat'"),
        ({"name": "calibrate", "settings": {"shure": 1}}, "unknown setting 'shure'"),
        ({"name": "subprocess:Popen", "settings": {"args": "true"}}, "would import the package 'subprocess'"),
    ],
)
def test_what_cannot_be_made_is_refused_when_the_file_is_read(tmp_path, optimizer, message):
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **optimizer)
