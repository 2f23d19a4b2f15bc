"""The lab's model behind OpenAI's HTTP interface: chat, embeddings, JSON schema, logprobs, usage.

The server holds the personas' traits and the language. It holds no world, no label and no policy (but where
`JudgeParameters.policy` makes it the control that judges perfectly), and what it replies is a function of
the request's content and its seed.
"""

import json
import math
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from judge_opt.core.hashing import content_hash
from judge_opt.testing.fault_server import FaultServer, Recorded, Reply
from judge_opt.testing.lab.agent import AgentPersona
from judge_opt.testing.lab.draws import chance
from judge_opt.testing.lab.embedding import embed
from judge_opt.testing.lab.judging import JudgePersona, Verdict
from judge_opt.testing.lab.parameters import Parameters
from judge_opt.testing.lab.reading import Reading, outside, read
from judge_opt.testing.lab.reflecting import ReflectionPersona
from judge_opt.testing.lab.replies import Content, choices_of, most_items, schema_of, write
from judge_opt.testing.lab.sources import sources

JUDGE, REFLECTION, EMBEDDER, AGENT = "sim-judge", "sim-reflect", "sim-embed", "sim-agent"
"""Models that are served. Any other name is the judge where the request wants a verdict of an item, and the
reflection where it wants rules."""

_WANTS_RULES = re.compile(r"\b(rules?|guidelines?|instructions?|advice|lessons?|criteria)\b", re.IGNORECASE)


class LabServer(FaultServer):
    """The server; a context manager.

    Args:
        parameters: the personas' traits.

    Attributes:
        asked: "judge", "reflect", "agent" or "embed" to the number of requests that were answered.
        keep_requests: whether `requests` grows; off for long runs.

    Every client's use is counted apart, by the key that it sends: `GET /v1/usage` with the same key tells
    calls and tokens by model, `GET /v1/usage/all` those of all clients together. Repeats of a request are
    counted by key too, so that clients of one server do not change each other's replies.
    """

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters or Parameters()
        super().__init__(self._answer, partial(embed, meaning=self.parameters.meaning))
        self.asked: Counter[str] = Counter()
        self.keep_requests = True
        self._repeats: Counter[tuple[str, str]] = Counter()
        self._usage: dict[str, dict[str, Counter[str]]] = {}
        self._client = threading.local()
        self._judge = JudgePersona(self.parameters.judge, self.parameters.seed)
        self._reflection = ReflectionPersona(self.parameters.reflection, self.parameters.seed)
        self._agent = AgentPersona(self.parameters.agent, self.parameters.seed)

    def forget(self) -> None:
        """Drop the requests that were recorded, and the counts."""
        with self._lock:
            self.requests.clear()
            self.asked.clear()

    def received(self, record: Recorded) -> Reply:
        """See `FaultServer.received`."""
        key = self._client.key = record.headers.get("authorization", "").removeprefix("Bearer ")
        if record.method == "GET" and record.path.endswith("/usage"):
            super().received(record)
            return Reply(raw=json.dumps(self.usage(key)).encode())
        if record.method == "GET" and record.path.endswith("/usage/all"):
            super().received(record)
            return Reply(raw=json.dumps(self.usage(None)).encode())
        if record.path.endswith("/embeddings"):
            texts = record.body["input"]
            read_in = sum(_tokens(text) for text in ([texts] if isinstance(texts, str) else texts))
            with self._lock:
                self.asked["embed"] += 1
            self._book_use(str(record.body.get("model")), read_in, 0)
        reply = super().received(record)
        if not self.keep_requests:
            with self._lock:
                self.requests.clear()
        return reply

    def usage(self, key: str | None = "") -> dict[str, dict[str, int]]:
        """Model to calls, prompt_tokens and completion_tokens, of the clients that sent `key`; None: of all."""
        found: dict[str, Counter[str]] = {}
        with self._lock:
            for client, models in self._usage.items():
                for model, count in models.items():
                    if key is None or client == key:
                        found.setdefault(model, Counter()).update(count)
        return {model: dict(count) for model, count in sorted(found.items())}

    def _book_use(self, model: str, read_in: int, written: int) -> None:
        with self._lock:
            count = self._usage.setdefault(self._client.key, {}).setdefault(model, Counter())
            count.update(calls=1, prompt_tokens=read_in, completion_tokens=written)

    def _answer(self, body: dict[str, Any]) -> Reply:
        schema = schema_of(body)
        reading = read(shortened(body["messages"], self.parameters.context), choices_of(schema))
        temperature = float(body.get("temperature") or 0.0)
        digest = content_hash([body["messages"], temperature, body.get("seed")])
        persona = self._persona(body, reading)
        with self._lock:
            self.asked[persona] += 1
            asked_before = (self._client.key, digest)
            fresh = (self.parameters.fresh_repeats and temperature > 0) or self.parameters.judge.flip > 0
            first = self._repeats[asked_before] if fresh else 0
            self._repeats[asked_before] += 1
        count = int(body.get("n") or 1)
        choices = []
        for draw in range(first * count, (first + 1) * count):
            if persona == "judge":
                choices.append(self._judged(body, reading, digest, temperature, draw))
            elif persona == "agent":
                said = self._agent.write(body["messages"], digest, draw)
                choices.append((self._written(body, reading, Content(text=said)), None))
            else:
                choices.append((self._reflected(body, reading, digest, draw), None))
        return self._reply(body, choices)

    def _persona(self, body: dict[str, Any], reading: Reading) -> str:
        name = str(body.get("model", "")).rsplit("/", 1)[-1]
        if name in (JUDGE, REFLECTION, AGENT):
            return {JUDGE: "judge", REFLECTION: "reflect", AGENT: "agent"}[name]
        unrated = any(not record.rated for record in reading.records)
        return "reflect" if not unrated and _WANTS_RULES.search(outside(reading)) else "judge"

    def _judged(
        self, body: dict[str, Any], reading: Reading, digest: str, temperature: float, draw: int
    ) -> tuple[str, Verdict | None]:
        verdict = self._judge.judge(reading, digest, temperature, draw)
        if verdict is None:
            return "I cannot tell from what is here.", None
        spelled = _spelling(verdict.label, body, reading)
        content = Content(spelled, verdict.rationale, (), verdict.probabilities[verdict.label])
        text = self._written(body, reading, content)
        p = self.parameters
        if chance(p.judge.malformed, p.seed, "malformed", digest, draw):
            # Half of the malformed replies are cut off, the others say nothing.
            cut = chance(0.5, p.seed, "cut", digest, draw)
            return (text[: len(text) // 2] if cut else "It is hard to say."), None
        return text, verdict

    def _reflected(self, body: dict[str, Any], reading: Reading, digest: str, draw: int) -> str:
        rules = self._reflection.propose(reading, digest, draw, most_items(schema_of(body)))
        text = self._reflection.rewrite(reading, rules, digest, draw)
        content = Content(
            text=text, rules=tuple(rules), sources=tuple(sources(rule, reading) for rule in rules)
        )
        return self._written(body, reading, content)

    def _written(self, body: dict[str, Any], reading: Reading, content: Content) -> str:
        end = reading.records[-1].item.end if reading.records else 0
        return write(body, outside(reading), reading.text[end:], content)

    def _reply(self, body: dict[str, Any], said: list[tuple[str, Verdict | None]]) -> Reply:
        made = []
        for index, (text, verdict) in enumerate(said):
            choice: dict[str, Any] = {
                "index": index,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
            if body.get("logprobs"):
                choice["logprobs"] = _logprobs(text, verdict, int(body.get("top_logprobs") or 0))
            made.append(choice)
        read_in = sum(len(str(message.get("content") or "")) for message in body["messages"]) // 4 + 1
        written = sum(len(text) for text, _ in said) // 4 + 1
        self._book_use(str(body.get("model")), read_in, written)
        usage = {"prompt_tokens": read_in, "completion_tokens": written, "total_tokens": read_in + written}
        answer = {
            "id": "chatcmpl-" + content_hash([body, said[0][0]])[:24],
            "object": "chat.completion",
            "created": 0,  # clients want one; the time would make two runs differ
            "model": body.get("model"),
            "choices": made,
            "usage": usage,
        }
        return Reply(raw=json.dumps(answer).encode(), delay=self.parameters.latency)


def shortened(messages: Sequence[Mapping[str, Any]], tokens: int) -> Sequence[Mapping[str, Any]]:
    """The messages as far as they are read: of a request longer than `tokens` (0: no limit) the middle is lost."""
    excess = sum(len(str(m.get("content") or "")) for m in messages) - 4 * tokens
    if not tokens or excess <= 0:
        return messages
    kept, before = [], 0
    total = excess + 4 * tokens
    start, end = 2 * tokens, total - 2 * tokens
    for message in messages:
        text = str(message.get("content") or "")
        head, tail = max(0, start - before), max(0, end - before)
        kept.append(
            {**message, "content": text[:head] + text[max(head, tail) :] if head < len(text) else text[tail:]}
        )
        before += len(text)
    return kept


def _tokens(text: Any) -> int:
    """Four characters are one."""
    return len(str(text)) // 4 + 1


def _spelling(label: str, body: dict[str, Any], reading: Reading) -> str:
    """The label as the request writes it."""
    written = re.search(rf"\b{re.escape(label)}\b", json.dumps(schema_of(body) or {}), re.IGNORECASE)
    written = written or re.search(rf"\b{re.escape(label)}\b", outside(reading), re.IGNORECASE)
    return written[0] if written else label


def _logprobs(text: str, verdict: Verdict | None, top: int) -> dict[str, Any]:
    """A token a word; at the verdict's last place the distribution over labels."""
    tokens = re.findall(r"\s*\w+|\W", text)
    place = None
    if verdict is not None:
        same = [i for i, token in enumerate(tokens) if token.strip().lower() == verdict.label]
        place = same[-1] if same else None
    content = []
    for index, token in enumerate(tokens):
        odds = {token: 0.999}
        if index == place and verdict is not None:
            lead = token[: len(token) - len(token.lstrip())]
            odds = {
                (token if label == verdict.label else lead + label): probability
                for label, probability in verdict.probabilities.items()
            }
        listed = sorted(odds.items(), key=lambda one: -one[1])[:top]
        content.append(
            {
                "token": token,
                "logprob": _log(odds[token]),
                "bytes": list(token.encode()),
                "top_logprobs": [
                    {"token": name, "logprob": _log(p), "bytes": list(name.encode())} for name, p in listed
                ],
            }
        )
    return {"content": content, "refusal": None}


def _log(probability: float) -> float:
    return math.log(max(probability, 1e-12))
