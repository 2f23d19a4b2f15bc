"""How a failed call looks to its caller, on either side of DSPy.

DSPy translates what an engine raises into its own classes, and lets only its own pass unchanged. So an
error of ours goes up as an object of both families, made by `carry`:

    dspy.LM.__call__ raises     which is a                                     where
    BudgetExceeded              judge_opt BudgetExceeded and dspy LMError      before a call that would exceed
    CredentialsError            CredentialsError and LMAuthError               401, 403, 402
    RequestRejected             RequestRejected and LMInvalidRequestError      404 and every other final 4xx
    EndpointUnreachable         EndpointUnreachable and LMTransportError       the circuit is open
    IntegrityError, UsageError  the same, and LMError                          store, configuration

What is about one request stays DSPy's own: LMTimeoutError, LMRateLimitError, LMServerError,
LMTransportError (each after every retry) and ContextWindowExceededError. `unwrap` finds our error in any
chain, `is_fatal` says whether the run must stop, and `reason_of` names the Unscored reason otherwise.
"""

from typing import Any

from dspy import lm15
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMAuthError,
    LMError,
    LMInvalidRequestError,
    LMTimeoutError,
    LMTransportError,
)

from judge_opt.core.errors import (
    CredentialsError,
    EndpointUnreachable,
    JudgeOptError,
    RequestRejected,
)
from judge_opt.core.results import UnscoredReason

_DSPY_SIDE: tuple[tuple[type[JudgeOptError], type[Any]], ...] = (
    (CredentialsError, LMAuthError),
    (EndpointUnreachable, LMTransportError),
    (RequestRejected, LMInvalidRequestError),
)
_BOTH: dict[tuple[type[JudgeOptError], type[Any]], type[JudgeOptError]] = {}
_POLICY_CODES = frozenset({"content_filter", "content_policy_violation", "moderation"})


def carry(error: JudgeOptError, *, fatal: bool = True) -> JudgeOptError:
    """The same error as an object that crosses DSPy unchanged.

    Args:
        error: what happened.
        fatal: True where going on with other rows is pointless (see `is_fatal`).
    """
    crossing: JudgeOptError = error
    if isinstance(error, LMError):
        return crossing
    dspy_side: type[Any] = next((theirs for ours, theirs in _DSPY_SIDE if isinstance(error, ours)), LMError)
    carried = _both(type(error), dspy_side)(error.message, error.remedy)
    carried.__dict__["fatal"] = fatal
    carried.__cause__ = error.__cause__
    return carried


def _both(ours: type[JudgeOptError], theirs: type[Any]) -> type[JudgeOptError]:
    if (known := _BOTH.get((ours, theirs))) is not None:
        return known

    def reduce(self: JudgeOptError) -> Any:
        return _rebuild, (ours, self.message, self.remedy, getattr(self, "fatal", True))

    made = type(ours.__name__, (ours, theirs), {"__reduce__": reduce, "__module__": ours.__module__})
    return _BOTH.setdefault((ours, theirs), made)


def _rebuild(ours: type[JudgeOptError], message: str, remedy: str, fatal: bool) -> JudgeOptError:
    return carry(ours(message, remedy), fatal=fatal)


def unwrap(error: BaseException | None) -> JudgeOptError | None:
    """The first JudgeOptError in a chain of causes, or None."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, JudgeOptError):
            return error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def is_fatal(error: BaseException) -> bool:
    """True where every further call would fail too (budget, key, model, store, endpoint): stop the run.
    False for what one request met."""
    ours = unwrap(error)
    return ours is not None and getattr(ours, "fatal", True)


def reason_of(error: BaseException) -> tuple[UnscoredReason, str] | None:
    """Why a row has no verdict, and the detail for people. None where the error must not become an
    Unscored: it is fatal, or it is no failure of a model call."""
    if is_fatal(error):
        return None
    detail = str(error).split("\n\n", 1)[0][:300]
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    for link in chain:
        if isinstance(link, (lm15.TimeoutError, LMTimeoutError)):
            return "timeout", detail
        if isinstance(link, (lm15.ContextLengthError, ContextWindowExceededError)):
            return "too_long", detail
        if getattr(link, "provider_code", None) in _POLICY_CODES:
            return "refused", detail
    if any(isinstance(link, (lm15.LM15Error, LMError, JudgeOptError)) for link in chain):
        return "call_failed", detail
    return None


def kind_of(error: BaseException) -> str:
    """A short stable name for the ledger: lm15's code, or the class of an error of ours."""
    if isinstance(error, lm15.LM15Error):
        return error.code or "provider"
    return type(error).__name__


def refusal(error: lm15.LM15Error, model: str, env_keys: tuple[str, ...]) -> JudgeOptError | None:
    """The typed error for a refusal that no retry changes; None where `error` is not one.

    A context that is too long is not: it is about one row, and DSPy's modules know how to shorten it.
    """
    message = error.message.split("\n\n", 1)[0].strip()[:300]
    if isinstance(error, lm15.ContextLengthError):
        return None
    ours: JudgeOptError
    keys = " or ".join(env_keys)
    if isinstance(error, lm15.AuthError | lm15.BillingError | lm15.NotConfiguredError):
        remedy = f"Check the key in {keys}." if keys else "Check the endpoint's access."
        ours = CredentialsError(f"{model}: the endpoint refuses access ({_status(error)}{message}).", remedy)
    elif isinstance(error, lm15.ConfigurationError):
        remedy = "Set SSL_CERT_FILE to the certificate of the authority that signed it."
        ours = EndpointUnreachable(f"{model}: {message}.", remedy)
    elif isinstance(error, lm15.UnsupportedModelError) or error.status == 404:
        ours = RequestRejected(
            f"{model}: no such model or path at the endpoint ({_status(error)}{message}).",
            "Check the model's name and base_url.",
        )
    elif isinstance(error, lm15.InvalidRequestError | lm15.CapabilityError):
        ours = RequestRejected(
            f"{model}: the endpoint rejects this request ({_status(error)}{message}).",
            "Check the model's parameters; trying again does not help.",
        )
    else:
        return None
    ours.__cause__ = error
    return ours


def concerns_every_call(error: lm15.LM15Error) -> bool:
    """True for a refusal of the key, the model or the certificate; False for one of a single request, such as a 400."""
    about_model = isinstance(error, lm15.UnsupportedModelError) or error.status == 404
    return about_model or isinstance(error, lm15.AuthError | lm15.BillingError | lm15.ConfigurationError)


def _status(error: lm15.LM15Error) -> str:
    return f"HTTP {error.status}: " if error.status else ""
