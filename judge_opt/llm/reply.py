"""A model's reply in the form in which it is stored, and as an `lm15.Response` where somebody asks for one."""

from typing import Any

from dspy import lm15
from dspy._vendor.lm15.serde import response_from_dict, response_to_dict


class Reply:
    """One reply. A judge reads a text and two counts from it; building DSPy's checked types for that costs as much
    as reading the verdict.

    Args:
        data: what `response_to_dict` gives; not to be changed.
        response: the same, where it is there already.
    """

    __slots__ = ("_response", "_usage", "data")

    def __init__(self, data: dict[str, Any], response: lm15.Response | None = None) -> None:
        self.data = data
        self._response = response
        self._usage: lm15.Usage | None = None

    @classmethod
    def of(cls, response: lm15.Response) -> "Reply":
        return cls(response_to_dict(response), response)

    @property
    def response(self) -> lm15.Response:
        if self._response is None:
            self._response = response_from_dict(self.data)
        return self._response

    @property
    def usage(self) -> lm15.Usage:
        if self._usage is None:
            self._usage = lm15.Usage(**self.data.get("usage", {}))
        return self._usage

    @property
    def model(self) -> str:
        """The one that answered."""
        model: str = self.data["model"]
        return model

    @property
    def text(self) -> str:
        """As `lm15.Response.text`; "" where there is none."""
        parts = self.data["message"]["parts"]
        if len(parts) == 1 and parts[0]["type"] == "text":
            text: str = parts[0]["text"]
            return text
        return self.response.text or ""

    @property
    def refusal(self) -> str | None:
        """What the endpoint marked as a refusal."""
        for part in self.data["message"]["parts"]:
            if part["type"] == "refusal":
                return part["text"] or ""
        return None

    @property
    def logprobs(self) -> Any:
        """`lm15.TokenLogprob`s, or None."""
        return self.response.logprobs if "logprobs" in self.data else None

    @property
    def finish_reason(self) -> str:
        reason: str = self.data["finish_reason"]
        return reason
