from judge_opt.registry import diff_payloads


def test_a_diff_is_in_words():
    before = {"model": "a", "guidelines": ["x", "y"], "params": {"t": 0}, "old": True, "same": [1]}
    after = {
        "model": "b",
        "guidelines": ["x", "new", "y"],
        "params": {"t": 0.5},
        "added": {"k": 1},
        "same": [1],
    }
    assert diff_payloads(before, after) == [
        'added added: {"k": 1}',
        "added guidelines[1]: 'new'",
        "changed model: 'a' -> 'b'",
        "removed old: true",
        "changed params.t: 0 -> 0.5",
    ]
    assert diff_payloads(before, before) == []
    assert diff_payloads({"x": 1}, {"x": True}) == ["changed x: 1 -> true"]
    assert diff_payloads({"x": 1}, {"x": 1.0}) == ["changed x: 1 -> 1.0"]


def test_a_changed_item_of_a_list_is_followed_inside():
    before = {"demos": [{"q": 1, "a": 1}, {"q": 2, "a": 2}, {"q": 3, "a": 3}]}
    after = {"demos": [{"q": 1, "a": 1}, {"q": 2, "a": 9}]}
    assert diff_payloads(before, after) == [
        "changed demos[1].a: 2 -> 9",
        'removed demos[2]: {"a": 3, "q": 3}',
    ]


def test_long_texts_are_a_unified_diff():
    text = "\n".join(f"Rule {n}: be careful about it." for n in range(10))
    [line] = diff_payloads({"instructions": text}, {"instructions": text.replace("Rule 5", "Rule five")})
    assert line.splitlines() == [
        "changed instructions:",
        "  @@ -5,3 +5,3 @@",
        "   Rule 4: be careful about it.",
        "  -Rule 5: be careful about it.",
        "  +Rule five: be careful about it.",
        "   Rule 6: be careful about it.",
    ]


def test_hostile_text_is_shown_escaped():
    [line] = diff_payloads({}, {"x\u202e": "\x1b[31m\u202e\ud800"})
    assert line == "added x\\u202e: '\\x1b[31m\\u202e\\ud800'"


def test_two_versions_are_compared_with_their_blobs(registry):
    registry.register("judge", "j", {"n": 1}, {"index": b"1", "gone": b""})
    registry.register("judge", "j", {"n": 2}, {"index": b"22", "new": b""})
    lines = registry.diff("judge", "j", 1, "latest")
    assert lines[0] == "changed n: 1 -> 2"
    assert [line[:24] for line in lines[1:]] == [
        "removed blob gone",
        "changed blob index: 1 by",
        "added blob new: 0 bytes,",
    ]


def test_a_changed_instruction_is_told_once():
    """The template of a judge, and its hash, say the same again."""

    def judge(text, template=None):
        return {"instructions": text, "template": template or text, "template_hash": str(hash(text))}

    assert diff_payloads(judge("Is it right?"), judge("Is it good?")) == [
        "changed instructions: 'Is it right?' -> 'Is it good?'"
    ]
    assert len(diff_payloads(judge("Is it right?"), judge("Is it good?", "Is it right?"))) == 2
