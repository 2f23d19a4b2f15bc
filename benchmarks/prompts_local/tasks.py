"""The questions, and what code says of an answer."""

from typing import Any

CAPITALS = (
    "France Paris|Italy Rome|Spain Madrid|Germany Berlin|Japan Tokyo|China Beijing|Russia Moscow|Egypt Cairo|"
    "Greece Athens|Portugal Lisbon|Austria Vienna|Poland Warsaw|Norway Oslo|Sweden Stockholm|Finland Helsinki|"
    "Ireland Dublin|Hungary Budapest|Cuba Havana|Canada Ottawa|Peru Lima|Chile Santiago|Kenya Nairobi|"
    "Turkey Ankara|Iran Tehran|Iraq Baghdad|Thailand Bangkok|Denmark Copenhagen|Belgium Brussels|"
    "Ukraine Kyiv|Nepal Kathmandu|Jordan Amman|Vietnam Hanoi|Scotland Edinburgh|England London"
)
OTHERS = (
    "Which animal barks? dog|Which animal says meow? cat|What colour is grass? green|What colour is snow? white|"
    "What colour is blood? red|What colour is a ripe banana? yellow|What do bees make? honey|"
    "What do cows give us to drink? milk|What is frozen water called? ice|What is the opposite of hot? cold|"
    "What is the opposite of big? small|What is the opposite of day? night|What is the opposite of up? down|"
    "Which planet do we live on? earth|Which star gives us light by day? sun|Which month comes after May? June|"
    "Which day comes after Monday? Tuesday|Which season follows winter? spring|What do fish swim in? water|"
    "Which metal is attracted by a magnet? iron|What is the largest ocean? Pacific|"
    "What is the largest animal? whale|What is the tallest animal? giraffe|What do we breathe? air|"
    "Which language is spoken in Brazil? Portuguese|Which language is spoken in Mexico? Spanish|"
    "Who wrote Hamlet? Shakespeare|Who painted the Mona Lisa? Leonardo|What is two plus two? four|"
    "What insect has colourful wings and was a caterpillar? butterfly|What do we use to cut paper? scissors|"
    "What do you call a baby dog? puppy"
)


def rows() -> list[dict[str, Any]]:
    """All questions, the two kinds in turn."""
    capitals = [one.split(" ", 1) for one in CAPITALS.split("|")]
    asked = [(f"What is the capital of {country}?", city) for country, city in capitals]
    rest = [(one.rpartition(" ")[0], one.rpartition(" ")[2]) for one in OTHERS.split("|")]
    mixed = [one for pair in zip(asked, rest, strict=False) for one in pair]
    return [{"inputs": {"question": q}, "expectations": {"word": word}} for q, word in mixed]


def short(outputs: str) -> tuple[float, str]:
    """1 for up to three words, falling to 0 at 30."""
    words = len(outputs.split())
    worth = min(1.0, max(0.0, (30 - words) / 27))
    return worth, f"The answer has {words} words; it should have one."


def right(outputs: str, expectations: dict[str, Any]) -> tuple[float, str]:
    """Whether the word that is looked for is in the answer."""
    there = expectations["word"].lower() in outputs.lower()
    return float(there), "It is right." if there else "The right word is not in it."


def usable(outputs: str, expectations: dict[str, Any]) -> tuple[float, str]:
    """What an application could use, and no search looks at: the word, among at most three."""
    good = expectations["word"].lower() in outputs.lower() and len(outputs.split()) <= 3
    return float(good), ""
