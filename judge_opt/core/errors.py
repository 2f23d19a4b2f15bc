"""Every error that judge_opt raises on purpose.

    JudgeOptError                 exit code
    |- UsageError                 2   the call or the command line is wrong
    |  |- ConfigError             2   a configuration file is wrong
    |  `- TemplateError           2   a judge's template or value type is wrong
    |- DataError                  3   a row, label, column or split is wrong
    |  `- LeakageError            3   an item stands on both sides of a split
    |- ModelError                 4   a model cannot be used
    |  |- ModelNotInstalled       4   its package or file is missing
    |  |- EndpointUnreachable     4   no server answers
    |  |- CredentialsError        4   a key is missing or refused
    |  `- RequestRejected         4   the endpoint refuses this request for good
    |- BudgetExceeded             5   the hard stop of a budget
    |- IntegrityError             6   a stored artefact does not match its hash, or is from a newer version
    |- NotFound                   7   no such trace, judge, version, run
    `- Conflict                   8   somebody else changed it first

Exit code 10 is no error: `align` ended in order and kept the untouched judge, since nothing helped.
Exit code 12 is none either: `loop` waits for the labels of people.
Exit code 130: stopped by Ctrl-C, state saved.
"""

EXIT_OK = 0
EXIT_NOT_PROMOTED = 10
EXIT_LABELS_WANTED = 12
EXIT_INTERRUPTED = 130


class JudgeOptError(Exception):
    """What happened, to which item, and what to do next.

    Args:
        message: what happened and to which item, one line.
        remedy: what the user does next, one line; shown after the message.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip() if self.remedy else self.message


class UsageError(JudgeOptError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class TemplateError(UsageError):
    pass


class DataError(JudgeOptError):
    exit_code = 3


class LeakageError(DataError):
    pass


class ModelError(JudgeOptError):
    exit_code = 4


class ModelNotInstalled(ModelError):
    pass


class EndpointUnreachable(ModelError):
    pass


class CredentialsError(ModelError):
    pass


class RequestRejected(ModelError):
    pass


class BudgetExceeded(JudgeOptError):
    exit_code = 5


class IntegrityError(JudgeOptError):
    exit_code = 6


class NotFound(JudgeOptError):
    exit_code = 7


class Conflict(JudgeOptError):
    exit_code = 8
