"""Baselines without a framework: labelled examples in the prompt, and the nearest items' label."""

import json
import random
import threading
import urllib.request
from collections import Counter

_local = threading.local()


def post(task, path, body):
    """One request to the server, as JSON."""
    headers = {"Authorization": f"Bearer {task['key']}", "Content-Type": "application/json"}
    request = urllib.request.Request(task["server"] + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)


def few_shot(k):
    """`k` labelled examples in the prompt (None: all), drawn by the seed, with their reasons."""

    def arm(task):
        rows = list(task["train"])
        random.Random(task["seed"]).shuffle(rows)
        rows = rows if k is None else rows[:k]
        shown = "\n\n".join(
            f"inputs: {row['inputs']}\noutputs: {row['outputs']}\n"
            + (f"rationale: {row['rationale']}\n" if row.get("rationale") else "")
            + f"verdict: {row['label']}"
            for row in rows
        )
        plain = task["instructions"].replace("{{ ", "").replace(" }}", "")
        ask = f"{plain}\nThe verdict is one of: {', '.join(task['labels'])}."
        system = f"{ask}\n\nExamples:\n\n{shown}" if rows else ask
        schema = {
            "type": "object",
            "properties": {
                "rationale": {"type": "string"},
                "verdict": {"type": "string", "enum": list(task["labels"])},
            },
            "required": ["rationale", "verdict"],
            "additionalProperties": False,
        }

        def judge(row):
            body = {
                "model": task["judge"],
                "temperature": 0.0,
                "messages": [
                    {"role": "system", "content": system},
                    {"role": "user", "content": f"inputs: {row['inputs']}\noutputs: {row['outputs']}"},
                ],
                "response_format": {"type": "json_schema", "json_schema": {"name": "v", "schema": schema}},
            }
            said = post(task, "/chat/completions", body)["choices"][0]["message"]["content"]
            return json.loads(said)["verdict"]

        return judge, {"examples": len(rows)}

    return arm


def knn_copy(k):
    """The most frequent label of the `k` nearest labelled items; no judge is asked."""

    def arm(task):
        def embed(texts):
            found = post(task, "/embeddings", {"model": task["embedder"], "input": texts})["data"]
            return [one["embedding"] for one in found]

        known = embed([row["outputs"] for row in task["train"]])

        def judge(row):
            (here,) = embed([row["outputs"]])
            likeness = [sum(a * b for a, b in zip(here, other, strict=True)) for other in known]
            near = sorted(range(len(known)), key=lambda i: -likeness[i])[:k]
            return Counter(task["train"][i]["label"] for i in near).most_common(1)[0][0]

        return judge, {"k": k}

    return arm


ARMS = {
    "untouched": few_shot(0),
    "few_shot.8": few_shot(8),
    "few_shot.all": few_shot(None),
    "knn_copy": knn_copy(5),
}
