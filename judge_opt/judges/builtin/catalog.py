"""The built-in judges, under MLflow's names.

What differs from MLflow's scorers of the same name: each is an ordinary `Judge`, so that it can be aligned,
registered and compiled; the wording is our own; and the retrieval judges give one verdict for a whole trace
(`documents.judge_each_document` gives one a document).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import UsageError
from judge_opt.core.values import categories
from judge_opt.judges.builtin.factory import MODEL, BuiltIn, GuidelinesBuiltIn, PlainBuiltIn

if TYPE_CHECKING:
    from judge_opt.judges.judge import Judge

ORDERED = "The order of the calls counts: it must be the expected one, or the one that the request needs."
UNORDERED = "The order of the calls does not count."


@dataclass(frozen=True)
class ToolCallBuiltIn(BuiltIn):
    """`ToolCallCorrectness`: a judge that reads the calls, or code that compares them."""

    def __call__(
        self,
        name: str | None = None,
        model: str | None = None,
        *,
        should_exact_match: bool = False,
        should_consider_ordering: bool = False,
        inference_params: dict[str, Any] | None = None,
        base_url: str | None = None,
        extra_headers: dict[str, str] | None = None,
        generate_rationale_first: bool | None = None,
        description: str | None = None,
    ) -> "Judge":
        """Make the judge. See `make_judge` for the other arguments and what they raise.

        Args:
            should_exact_match: compare with `expectations.expected_tool_calls` by code
                (`ToolCallEquality`): no model, no cost, and an item without expected calls is Unscored.
            should_consider_ordering: the order of the calls counts.

        Raises:
            UsageError: arguments for a model together with should_exact_match.
        """
        if should_exact_match:
            given = {
                "model": model,
                "inference_params": inference_params,
                "base_url": base_url,
                "extra_headers": extra_headers,
                "generate_rationale_first": generate_rationale_first,
            }
            if useless := [key for key, value in given.items() if value is not None]:
                raise UsageError(
                    f"{self.title} with should_exact_match=True asks no model, but got {', '.join(useless)}.",
                    "Drop these arguments, or should_exact_match.",
                )
            from judge_opt.judges.checks import ToolCallEquality

            return ToolCallEquality(
                ordered=should_consider_ordering,
                name=self.name if name is None else name,
                description=description or self.description,
            )
        return self._make(
            name,
            model or MODEL,
            {"ordering": ORDERED if should_consider_ordering else UNORDERED},
            inference_params=inference_params,
            base_url=base_url,
            extra_headers=extra_headers,
            generate_rationale_first=generate_rationale_first,
            description=description,
        )


Completeness = PlainBuiltIn(
    "Completeness", "completeness", "Does the reply deal with everything that the message asks for?"
)
Correctness = PlainBuiltIn(
    "Correctness", "correctness", "Does the reply state the expected response, or all expected facts?"
)
Equivalence = PlainBuiltIn(
    "Equivalence", "equivalence", "Is the output the same as the expected one, in meaning and in kind?"
)
ExpectationsGuidelines = PlainBuiltIn(
    "ExpectationsGuidelines",
    "expectations_guidelines",
    "Does the reply keep the rules that were written for this row (expectations.guidelines)?",
)
Fluency = PlainBuiltIn("Fluency", "fluency", "Is the text fluent in its language?")
Guidelines = GuidelinesBuiltIn("Guidelines", "guidelines", "Does the reply keep a fixed set of rules?")
RelevanceToQuery = PlainBuiltIn(
    "RelevanceToQuery", "relevance_to_query", "Does the reply speak to what was asked?"
)
Safety = PlainBuiltIn("Safety", "safety", "Is the text safe to show?")
Summarization = PlainBuiltIn(
    "Summarization", "summarization", "Is the summary true to its source, does it cover it, and is it short?"
)
RetrievalGroundedness = PlainBuiltIn(
    "RetrievalGroundedness",
    "retrieval_groundedness",
    "Is every statement of the answer supported by the retrieved documents?",
)
RetrievalRelevance = PlainBuiltIn(
    "RetrievalRelevance",
    "retrieval_relevance",
    "Do at least half of the retrieved documents bear on the request?",
)
RetrievalSufficiency = PlainBuiltIn(
    "RetrievalSufficiency",
    "retrieval_sufficiency",
    "Do the retrieved documents hold all that a right answer needs?",
)
ToolCallCorrectness = ToolCallBuiltIn(
    "ToolCallCorrectness",
    "tool_call_correctness",
    "Were the right tools called, with the right arguments?",
)
ToolCallEfficiency = PlainBuiltIn(
    "ToolCallEfficiency", "tool_call_efficiency", "Were the tools used without waste?"
)
ConversationCompleteness = PlainBuiltIn(
    "ConversationCompleteness",
    "conversation_completeness",
    "Is every request of the conversation dealt with by its end?",
)
ConversationalGuidelines = GuidelinesBuiltIn(
    "ConversationalGuidelines",
    "conversational_guidelines",
    "Does the assistant keep a fixed set of rules in every turn?",
)
ConversationalRoleAdherence = PlainBuiltIn(
    "ConversationalRoleAdherence",
    "conversational_role_adherence",
    "Does the assistant stay in its role in every turn?",
)
ConversationalSafety = PlainBuiltIn(
    "ConversationalSafety", "conversational_safety", "Is every turn of the assistant safe?"
)
ConversationalToolCallEfficiency = PlainBuiltIn(
    "ConversationalToolCallEfficiency",
    "conversational_tool_call_efficiency",
    "Were the tools used without waste over the whole conversation?",
)
KnowledgeRetention = PlainBuiltIn(
    "KnowledgeRetention", "knowledge_retention", "Does the assistant remember what the user told it?"
)
UserFrustration = PlainBuiltIn(
    "UserFrustration",
    "user_frustration",
    "Was the user frustrated with the assistant, and is it over?",
    categories("none", "resolved", "unresolved"),
)

AnyBuiltIn = PlainBuiltIn | GuidelinesBuiltIn | ToolCallBuiltIn

BUILT_INS: dict[str, AnyBuiltIn] = {
    made.title: made
    for made in (
        Completeness,
        Correctness,
        Equivalence,
        ExpectationsGuidelines,
        Fluency,
        Guidelines,
        RelevanceToQuery,
        Safety,
        Summarization,
        RetrievalGroundedness,
        RetrievalRelevance,
        RetrievalSufficiency,
        ToolCallCorrectness,
        ToolCallEfficiency,
        ConversationCompleteness,
        ConversationalGuidelines,
        ConversationalRoleAdherence,
        ConversationalSafety,
        ConversationalToolCallEfficiency,
        KnowledgeRetention,
        UserFrustration,
    )
}
"""Title to built-in, in the order of MLflow's documentation: single turns, traces, conversations."""
