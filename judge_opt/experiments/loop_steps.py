"""The steps of a loop, each by what is there for it alone. See `judge_opt.experiments.loop`."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from judge_opt.align.contract import Event
from judge_opt.core.errors import (
    EXIT_LABELS_WANTED,
    EXIT_NOT_PROMOTED,
    EXIT_OK,
    DataError,
    NotFound,
    UsageError,
)
from judge_opt.core.files import write_text
from judge_opt.evaluation.engine import EvaluationEvent
from judge_opt.evaluation.run import evaluate
from judge_opt.experiments.loop import End, Loop
from judge_opt.experiments.loop_config import StepName
from judge_opt.experiments.report.prompts import prompt_report
from judge_opt.experiments.run import prepare, run
from judge_opt.judges.judge import Judge
from judge_opt.labels.queues.making import create_queue, get_queue
from judge_opt.labels.queues.running import label_rows
from judge_opt.labels.schemas import create_label_schema, list_label_schemas
from judge_opt.llm.budget import Budget
from judge_opt.llm.session import Session, use_session
from judge_opt.prompts.agents import prompted_agent
from judge_opt.prompts.guard import Guard
from judge_opt.prompts.optimize import optimize_prompts
from judge_opt.prompts.registered import load_prompt, register_prompt
from judge_opt.prompts.result import PromptResult
from judge_opt.registry.judges import get_judge
from judge_opt.traces.default_store import use_store
from judge_opt.traces.store import Store


@contextmanager
def _in(loop: Loop) -> Iterator[Store]:
    """The session and the store of the loop's home."""
    with (
        Session(
            loop.home, run_id=loop.loop_id, concurrency=loop.config.concurrency, events=loop.on_call
        ) as session,
        use_session(session),
        Store(loop.home / "store.db") as store,
        use_store(store),
    ):
        yield store


def _pinned(loop: Loop) -> str:
    """The URI of the version that the loop began from: later ones change nothing in it."""
    path = loop.folder / "prompt.json"
    if not path.is_file():
        said = loop.config.agent
        if said.template is None:
            found = load_prompt(said.prompt)
        else:
            found = register_prompt(said.prompt, said.template, f"the seed of the loop {loop.loop_id}")
        write_text(path, json.dumps({"uri": found.uri}))
    return str(json.loads(path.read_text(encoding="utf-8"))["uri"])


def _agent(loop: Loop) -> Callable[..., str]:
    said = loop.config.agent
    return prompted_agent(_pinned(loop), said.model, base_url=said.base_url, **said.inference_params)


def run_agent(loop: Loop) -> End:
    """The agent on the inputs for people, and the untouched judge on its outputs."""

    def told(event: EvaluationEvent) -> None:
        loop.on_event(Event(event.phase, event.done, event.total))

    with _in(loop) as store:
        result = evaluate(
            loop.asked,
            [loop.judge],
            _agent(loop),
            store=store,
            name=f"loop {loop.loop_id}",
            run_id=f"loop-{loop.loop_id}",
            concurrency=loop.config.concurrency,
            events=told,
        )
        rows = result.to_dicts()
    answered = [str(one["trace_id"]) for one in rows if one["outputs"] is not None and one["trace_id"]]
    judged = sum(one[f"{loop.judge.name}/value"] is not None for one in rows)
    if not answered:
        raise DataError("The agent gave no output on any input.", f"Read the evaluation in {result.folder}.")
    message = (
        f"The agent answered {len(answered)} of {len(rows)} inputs; the judge has a verdict on {judged}."
    )
    loop.remember("run", {"message": message, "traces": answered})
    return End("run", message, EXIT_OK)


def ask_people(loop: Loop) -> End:
    """The queue, made once; done when every item has the labels that it needs."""
    said, name = loop.config.label, loop.judge.name
    with _in(loop) as store:
        try:
            queue = get_queue(loop.queue, store=store)
        except NotFound:
            if "run" not in loop.done:
                raise UsageError(
                    "The step run was skipped, so there is nothing to label.", "Skip the step label as well."
                ) from None
            if name not in {one.name for one in list_label_schemas(store=store) if one.type == "feedback"}:
                create_label_schema(name, input=loop.judge.value_type, title=said.question, store=store)
            queue = create_queue(
                loop.queue,
                loop.done["run"]["traces"],
                name,
                raters_per_item=said.raters,
                order=said.order,
                seed=loop.config.seed,
                store=store,
            )
        far = queue.progress()
        if not far.done:
            message = f"{far.labels} of {far.labels_wanted} labels are in, of {far.items} items."
            return End("label", message, EXIT_LABELS_WANTED, far.labels_wanted - far.labels)
        _write_labels(loop, label_rows(queue))
    message = f"{far.labels} labels of {far.items} items are in."
    loop.remember("label", {"message": message})
    return End("label", message, EXIT_OK)


def _write_labels(loop: Loop, rows: list[dict[str, Any]]) -> None:
    write_text(loop.labels, "".join(json.dumps(row) + "\n" for row in rows))


def align_judge(loop: Loop) -> End:
    """The experiment of `judge-opt align`, on the labels: it validates, decides and registers."""
    if not loop.labels.is_file():  # the step label was skipped: what people said until now
        with _in(loop) as store:
            try:
                found = label_rows(get_queue(loop.queue, store=store))
            except NotFound:
                found = []
        if not found:
            raise DataError("There are no labels to align with.", "Do not skip the step label.")
        _write_labels(loop, found)
    prepared = prepare(loop.config.experiment(loop.labels), loop.folder, loop.home)
    outcome = run(prepared, on_event=loop.on_event, on_call=loop.on_call)
    found_ = {
        "message": outcome.report.conclusion,
        "exit_code": outcome.exit_code,
        "version": outcome.version,
        "report": str(outcome.folder / "report.html"),
    }
    loop.remember("align", found_)
    return End("align", outcome.report.conclusion, outcome.exit_code)


def _optimized(loop: Loop) -> PromptResult:
    """The same call is the same optimization: what was bought comes from the call store."""
    config, said = loop.config, loop.config.prompts
    version = loop.done.get("align", {}).get("version")
    judge: Judge = get_judge(version, home=loop.home) if version else loop.judge
    guard = loop.guard
    if version is None and said.guard == "untouched":
        guard = Guard()  # it is the judge itself
    known = {key: one for key, one in said.objectives.items() if key == judge.name}
    return optimize_prompts(
        _agent(loop),
        *loop.parts[:2],
        [judge],
        test=loop.parts[2],
        guard=guard,
        prompt_uris=[_pinned(loop)],
        objectives=known,
        budget=Budget(calls=said.max_calls, usd=said.usd),
        max_calls=said.max_calls,
        reflection_lm=said.reflection_lm,
        reflection_base_url=said.reflection_base_url,
        method=said.method,
        seed=config.seed,
        proposals=said.proposals,
        patience=said.patience,
        concurrency=config.concurrency,
        callbacks=[loop.on_event],
    )


def rewrite_prompt(loop: Loop) -> End:
    """`optimize_prompts`: the search, the held-out comparison and the guard."""
    with _in(loop):
        result = _optimized(loop)
    write_text(loop.folder / "prompts.md", prompt_report(result))
    code = EXIT_OK if result.confirmed else EXIT_NOT_PROMOTED
    found = {"message": result.verdict, "exit_code": code, "changed": result.changed}
    loop.remember("prompts", {**found, "report": str(loop.folder / "prompts.md")})
    return End("prompts", result.verdict, code)


def register(loop: Loop) -> End:
    """The new prompt as a version: with the alias where its gain is confirmed, tagged as unconfirmed otherwise."""
    done = loop.done.get("prompts")
    if done is None:
        return End("register", "There is no new prompt to register.", EXIT_OK)
    if not done["changed"]:
        loop.remember("register", {"message": done["message"], "exit_code": done["exit_code"]})
        return End("register", done["message"], done["exit_code"])
    with _in(loop):
        result = _optimized(loop)
        alias = loop.config.prompts.alias if result.confirmed else None
        made = result.register(alias=alias)
    names = ", ".join(one.uri for one in made)
    message = f"Registered {names}{f' as {alias}' if alias else ''}. {result.verdict}"
    code = EXIT_OK if result.confirmed else EXIT_NOT_PROMOTED
    loop.remember("register", {"message": message, "exit_code": code})
    return End("register", message, code)


STEP: Mapping[StepName, Callable[[Loop], End]] = {
    "run": run_agent,
    "label": ask_people,
    "align": align_judge,
    "prompts": rewrite_prompt,
    "register": register,
}
