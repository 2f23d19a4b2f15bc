"""The commands together, and the one place where an error becomes a line and an exit code."""

import os
import sys
from typing import Annotated

import typer

from judge_opt.cli import (
    align,
    audit,
    bench,
    compare,
    doctor,
    drift,
    evaluate,
    judge,
    label,
    loop,
    memory,
    output,
    power,
    prompts,
    queue,
    quiet,
    raters,
    registry,
    report,
    runs,
    serve_model,
    trace,
    validate,
)
from judge_opt.cli.options import WholeHelp
from judge_opt.core.errors import EXIT_INTERRUPTED, EXIT_OK, JudgeOptError, UsageError

app = typer.Typer(
    cls=WholeHelp,
    name="judge-opt",
    help="LLM judges made from templates, aligned with human experts, proven on held-out labels.",
    epilog="Start with: judge-opt doctor, then judge-opt align configs/quickstart.yaml. "
    "Exit codes: docs/cli.md.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command("align", epilog=align.EXIT_CODES)(align.align)
app.command("loop", epilog=loop.EXIT_CODES)(loop.loop)
app.command("evaluate", epilog=evaluate.EXIT_CODES)(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("bench")(bench.bench)
app.command("validate", epilog=validate.EXIT_CODES)(validate.validate)
app.command("drift", epilog=drift.EXIT_CODES)(drift.drift)
app.command("judge")(judge.judge)
app.add_typer(label.app, name="label")
app.add_typer(queue.app, name="queue")
app.command("raters")(raters.raters)
app.command("audit")(audit.audit)
app.command("power")(power.power)
app.command("report")(report.report)
app.command("runs")(runs.runs)
app.add_typer(registry.app, name="registry")
app.add_typer(prompts.app, name="prompts")
app.add_typer(memory.app, name="memory")
app.add_typer(trace.app, name="trace")
app.command("doctor")(doctor.doctor)
app.command("serve-model")(serve_model.serve_model)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    pass


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    Every error that is raised on purpose is one line on stderr, `error: <what happened> <what to do>`,
    and no traceback unless JUDGE_OPT_DEBUG is set; with `--json` it is also one JSON object on stdout.
    """
    if arguments == ["--version"]:
        from judge_opt import __version__

        print(__version__)
        return EXIT_OK
    quiet.before_imports()
    with output.machine_readable("--json" in arguments):
        try:
            code = app(arguments or ["--help"], prog_name="judge-opt", standalone_mode=False)
        except BrokenPipeError:
            _drop_stdout()
            return 141
        except KeyboardInterrupt:
            output.say("stopped.")
            return EXIT_INTERRUPTED
        except Exception as error:
            if os.environ.get("JUDGE_OPT_DEBUG"):
                raise
            return output.fail(_known(error))
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_stdout()
            return 141
        return code if isinstance(code, int) else EXIT_OK


def _known(error: Exception) -> JudgeOptError:
    """The error as one of ours; what is nobody's fault but ours says so."""
    if isinstance(error, JudgeOptError):
        return error
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "judge-opt"
        message = error.format_message().rstrip(".")
        return UsageError(f"{message}.", f"See: {path} --help")
    if isinstance(error, typer.Abort):
        return UsageError("Not confirmed: nothing was bought.", "Give --yes to go on without a question.")
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}" if error.filename else ""
        return JudgeOptError(
            f"The system refused{where}: {error.strerror}.", "Check its permissions and the free disk space."
        )
    return JudgeOptError(
        f"This is a bug in judge_opt: {type(error).__name__}: {str(error)[:300]}.",
        "Set JUDGE_OPT_DEBUG=1 to see the traceback, and report it.",
    )


def _drop_stdout() -> None:
    """The reader of a pipe has left: nothing more may be written, not even by the interpreter's exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
