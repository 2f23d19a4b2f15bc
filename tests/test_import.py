"""`import judge_opt` and the command line's help stay cheap: nothing heavy is imported by them."""

import subprocess
import sys

import pytest

HEAVY = (
    "dspy",
    "litellm",
    "torch",
    "transformers",
    "sentence_transformers",
    "faiss",
    "sklearn",
    "scipy",
    "numpy",
    "matplotlib",
    "sqlalchemy",
    "pydantic",
    "yaml",
    "xllamacpp",
)


def imported_after(code: str) -> set[str]:
    """Which heavy modules a fresh interpreter holds after `code`."""
    asked = f"{code}\nimport sys\nprint('\\n'.join(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return set(done.stdout.split()) & set(HEAVY)


@pytest.mark.parametrize(
    "code",
    [
        "import judge_opt",
        "from judge_opt import Scored, ordered, JudgeOptError, __version__",
        "import judge_opt.llm, judge_opt.traces, judge_opt.labels, judge_opt.registry",
        "import judge_opt.cli.app",
        "import judge_opt.cli.app as a; a.run(['--help'])",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert imported_after(code) == set()


def test_help_of_a_verb_imports_no_model_library() -> None:
    # Typer itself imports pydantic for a command's parameters, where it is installed.
    assert imported_after("import judge_opt.cli.app as a; a.run(['align', '--help'])") <= {"pydantic"}


def test_making_a_judge_needs_dspy_but_no_torch_and_no_plots() -> None:
    code = "from judge_opt import make_judge; make_judge('polite', 'Is {{ outputs }} polite?')"
    found = imported_after(code)
    assert "dspy" in found
    assert not found & {"torch", "transformers", "sentence_transformers", "matplotlib", "litellm", "sklearn"}


def test_every_public_name_is_there_and_documented() -> None:
    import judge_opt

    assert set(judge_opt._HOMES) | {"__version__"} == set(judge_opt.__all__)
    for name in judge_opt.__all__:
        assert getattr(judge_opt, name) is not None, name
    assert set(judge_opt.__all__) <= set(dir(judge_opt))


def test_an_unknown_name_is_an_attribute_error() -> None:
    import judge_opt

    with pytest.raises(AttributeError, match="no_such_name"):
        judge_opt.no_such_name  # noqa: B018
