"""Judges in the registry: the same verdicts anywhere, no network to load, no key to a stranger."""

import json
import socket

import alignment_world as world
import pytest

from judge_opt.align.memalign import MemAlign
from judge_opt.core.errors import IntegrityError, NotFound, UsageError
from judge_opt.judges.jury import make_jury
from judge_opt.judges.make import make_judge
from judge_opt.judges.stored import dump_judge, read_judge, save_judge
from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session, use_session
from judge_opt.registry.judges import delete_judge, get_judge, list_judges, list_versions, register
from judge_opt.testing.fault_server import FaultServer

CANARY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def a_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)


@pytest.fixture
def server():
    with FaultServer(answer=world.answer, embed=world.embed) as running:
        yield running


@pytest.fixture
def stranger():
    """Where a bundle's judge would like to be run."""
    with FaultServer(answer=world.answer, embed=world.embed) as running:
        yield running


@pytest.fixture
def session(tmp_path):
    retry = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=5.0, deadline=10.0)
    with Session(tmp_path / "home", retry=retry) as made, use_session(made):
        yield made


@pytest.fixture
def aligned(server, session):
    optimizer = MemAlign(embedder="openai:/embed", reflection_lm="openai:/sim")
    judge = optimizer.align(world.judge(server), world.rows(40)).judge
    assert judge.memory is not None
    return judge


def keys_seen(server):
    """Requests that carried the key, in any header or in the body."""
    return [
        one for one in server.requests if CANARY in json.dumps([dict(one.headers), one.body], default=str)
    ]


def test_align_register_load_gives_the_same_verdicts(aligned, registry, server):
    rows = [row.fields for row in world.rows(20, seed=2)]
    before = [(f.value, f.probabilities, f.rationale) for f in aligned.batch(rows)]
    assert len({value for value, _, _ in before}) == 2
    version = register(aligned, registry=registry, alias="production")
    asked = len(server.requests)
    loaded = get_judge("dated", "production", registry=registry)
    assert [(f.value, f.probabilities, f.rationale) for f in loaded.batch(rows)] == before
    assert len(server.requests) == asked  # the calls were bought before; nothing was embedded again
    assert register(loaded, registry=registry) == version
    assert dump_judge(loaded) == dump_judge(aligned)


SECTION = "Guidelines learned from the experts' labels:"


def shown(server, judge, words):
    """The system message under which the judge asks about a reply."""
    server.requests.clear()
    judge(outputs=words)
    [asked] = [one.body for one in server.requests if one.path.endswith("/chat/completions")]
    return asked["messages"][0]["content"]


def test_a_judge_that_is_aligned_again_shows_one_section_of_guidelines(server, session, registry):
    optimizer = MemAlign(embedder="openai:/embed", reflection_lm="openai:/sim", shots=0, fusion=False)
    judge, seen = world.judge(server), []
    for number, rows in enumerate((30, 40, 50, 50)):
        register(optimizer.align(judge, world.rows(rows)).judge, registry=registry)
        judge = get_judge("dated", registry=registry)
        system = shown(server, judge, f"Number {number}: on Thursday.")
        assert system.count(SECTION) == 1
        assert SECTION not in judge.instructions
        assert system.count("Is {{ outputs }} a good reply?") == system.count(judge.instructions)
        active = [one.text for one in judge.memory.guidelines if one.state == "active"]
        assert world.RULE in active
        assert all(system.count(f"- {text}") == 1 for text in active)
        assert len({" ".join(text.split()).casefold() for text in active}) == len(active)
        seen.append(system)
    assert seen[2] == seen[3]
    assert len(list_versions("dated", registry=registry)) < 4  # the same rows again: the same version


def test_loading_needs_no_network(aligned, registry, monkeypatch):
    register(aligned, registry=registry)
    rows = [row.fields for row in world.rows(3, seed=2)]
    before = [f.value for f in aligned.batch(rows)]

    def refuse(family, address):
        if family is not None and getattr(family, "family", None) == socket.AF_UNIX:
            return connect(family, address)  # the PostgreSQL server
        raise AssertionError(f"loading a judge connected to {address}")

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)
    loaded = get_judge("dated", registry=registry)
    assert [f.value for f in loaded.batch(rows)] == before


def test_a_judge_of_a_bundle_sends_nothing_to_its_own_address(stranger, server, session, other, tmp_path):
    optimizer = MemAlign(embedder="openai:/embed", reflection_lm="openai:/sim")
    theirs = optimizer.align(world.judge(stranger), world.rows(40)).judge
    register(theirs, registry=other)
    other.export_bundle("judge", "dated", None, tmp_path / "bundle")
    stranger.requests.clear()

    mine = Session(tmp_path / "mine")
    from judge_opt.registry import Registry

    here = Registry(tmp_path / "mine" / "store.db")
    item = {"outputs": "We will fix it on Thursday."}
    with mine, use_session(mine):
        assert here.import_bundle(tmp_path / "bundle").trusted is False
        with pytest.raises(
            UsageError, match=r"'dated' version 1 came from elsewhere .*your key, to 'http://127"
        ):
            get_judge("dated")
        assert stranger.requests == []

        loaded = get_judge("dated", base_url=server.base_url)
        assert loaded(**item).value == "good"
        assert keys_seen(server)
        assert stranger.requests == []

        trusting = get_judge("dated", trust_base_url=True)
        assert trusting(outputs="We will look into it.").value == "bad"
        assert keys_seen(stranger)  # else this test would show nothing
    here.database.close()


def test_who_imports_or_registers_can_vouch(stranger, session, registry, other, tmp_path):
    judge = world.judge(stranger)
    register(judge, registry=other)
    other.export_bundle("judge", "dated", None, tmp_path / "bundle")
    assert registry.import_bundle(tmp_path / "bundle").trusted is False
    assert registry.import_bundle(tmp_path / "bundle", trust_base_url=True).trusted is True
    assert get_judge("dated", registry=registry).base_url == stranger.base_url
    assert registry.import_bundle(tmp_path / "bundle").trusted is True  # a vouch is not taken back


def test_addresses_in_every_part_of_a_judge_are_found(stranger, tmp_path):
    plain = make_judge("plain", "Is {{ outputs }} fine?", "openai:/gpt-4o-mini")
    hidden = make_judge("hidden", "Is {{ outputs }} fine?", "openai:/x", base_url=stranger.base_url)
    for number, judge in enumerate((
        hidden,
        make_jury("jury", [plain, hidden]),
        make_jury("nested", [plain, make_jury("inner", [plain, hidden])]),
        make_judge("p", "Is {{ outputs }} fine?", "groq:/x", inference_params={"api_base": "http://evil"}),
        make_judge("p", "Is {{ outputs }} fine?", "groq:/x", inference_params={"fallbacks": ["x"]}),
    )):  # fmt: skip
        folder = tmp_path / str(number)
        save_judge(judge, folder)
        with pytest.raises(UsageError, match=rf"The judge in {number} came from elsewhere"):
            read_judge(folder)
        assert read_judge(folder, trust_base_url=True).name == judge.name
    save_judge(plain, tmp_path / "plain")
    assert read_judge(tmp_path / "plain").model == "openai:/gpt-4o-mini"
    save_judge(make_jury("nested", [plain, make_jury("inner", [plain, hidden])]), tmp_path / "again")
    loaded = read_judge(tmp_path / "again", base_url="http://localhost:1/v1")
    assert loaded.jurors[1].jurors[1].base_url == "http://localhost:1/v1"


def test_an_address_where_requests_go_anyway_needs_no_vouching(
    aligned, server, stranger, tmp_path, monkeypatch
):
    """The same provider's, as the environment has it: another provider's key must not follow."""
    save_judge(aligned, tmp_path / "mine")
    with pytest.raises(UsageError, match=r"The judge in mine came from elsewhere.*that you saved yourself"):
        read_judge(tmp_path / "mine")  # localhost alone is no reason
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.base_url}/")
    loaded = read_judge(tmp_path / "mine")
    assert (loaded.base_url, loaded.memory.base_url) == (server.base_url, server.base_url)
    assert loaded(outputs="We will fix it on Thursday.").value == "good"
    monkeypatch.setenv("OPENAI_BASE_URL", stranger.base_url)
    with pytest.raises(UsageError, match="came from elsewhere"):
        read_judge(tmp_path / "mine")
    for model, variable in (("groq:/x", "OPENAI_BASE_URL"), ("gateway:/x", "OPENAI_BASE_URL")):
        monkeypatch.setenv(variable, server.base_url)
        judge = make_judge("j", "Is {{ outputs }} fine?", model, base_url=server.base_url)
        save_judge(judge, tmp_path / model[:4])
        with pytest.raises(UsageError, match="came from elsewhere"):
            read_judge(tmp_path / model[:4])
    monkeypatch.setenv("JUDGE_OPT_GATEWAY_URL", server.base_url)
    assert read_judge(tmp_path / "gate").base_url == server.base_url


def test_no_key_is_stored_or_exported(aligned, server, registry, tmp_path, store_url):
    judge = aligned.copy()
    judge.params["extra_headers"] = {"X-Key": CANARY}
    register(judge, registry=registry)
    folder = registry.export_bundle("judge", "dated", None, tmp_path / "bundle")
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    registry.database.close()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            written += path.read_bytes()
    version, state, blobs = registry.get("judge", "dated")
    written += json.dumps([state, dict(version.lineage)]).encode() + b"".join(blobs.values())
    assert server.base_url.encode() in written
    assert CANARY.encode() not in written


def test_lineage_says_what_code_ran(registry):
    version = register(make_judge("j", "Is {{ outputs }} fine?"), registry=registry, lineage={"seed": 1})
    assert version.lineage["seed"] == 1
    assert set(version.lineage["code"]) == {"judge_opt", "dspy", "python"}


def test_judges_are_listed_and_deleted(registry):
    for name in ("a", "b"):
        for text in ("Is {{ outputs }} fine?", "Is {{ outputs }} good?"):
            register(make_judge(name, text), registry=registry)
    registry.register("prompt", "a", {"template": "x"})
    assert [(v.name, v.version) for v in list_judges(registry=registry)] == [("a", 2), ("b", 2)]
    delete_judge("a", 2, reason="wrong", by="ana", registry=registry)
    assert [(v.version, v.deleted_by) for v in list_versions("a", registry=registry)] == [
        (1, None),
        (2, "ana"),
    ]
    with pytest.raises(NotFound, match="by ana: wrong"):
        get_judge("a", 2, registry=registry)
    assert get_judge("a", registry=registry).instructions == "Is {{ outputs }} fine?"


def test_a_version_can_stand_behind_the_name(registry):
    for text in ("Is {{ outputs }} fine?", "Is {{ outputs }} good?"):
        make_judge("j", text).register(registry=registry, alias="newest")
    assert get_judge("j@newest", registry=registry).instructions == "Is {{ outputs }} good?"
    assert get_judge("j/1", registry=registry).instructions == "Is {{ outputs }} fine?"
    with pytest.raises(NotFound, match=r"has no alias 'newset'. Did you mean 'newest'.*aliases: 'newest'"):
        get_judge("j@newset", registry=registry)
    with pytest.raises(UsageError, match="names no version"):
        get_judge("j/newest", registry=registry)


def test_a_malformed_judge_is_an_integrity_error(registry):
    state, blobs = dump_judge(make_judge("j", "Is {{ outputs }} fine?"))
    for key in state:
        for value in (None, 3, "x", [], {}, ...):
            broken = {k: v for k, v in state.items() if k != key or value is not ...}
            if value is not ...:
                broken[key] = value
            registry.register("judge", "j", broken, blobs)
            try:
                get_judge("j", registry=registry)
            except (IntegrityError, UsageError):
                continue
            # What still loads is a judge whose field may be just that.


def test_a_memory_of_another_embedding_model_is_refused(aligned, registry):
    state, blobs = dump_judge(aligned)
    changed = json.loads(json.dumps(state))
    changed["memory"]["embedder_name"] = "another-model"
    registry.register("judge", "renamed", changed, blobs)
    judge = get_judge("renamed", registry=registry)
    with pytest.raises(IntegrityError, match="another-model"):
        judge(outputs="We will fix it on Thursday.")
    changed = json.loads(json.dumps(state))
    changed["memory"]["dimension"] += 1
    registry.register("judge", "resized", changed, blobs)
    with pytest.raises(IntegrityError, match="wrong size"):
        get_judge("resized", registry=registry)
