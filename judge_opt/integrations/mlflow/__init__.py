"""Traces and assessments of MLflow: from a tracking server, or straight from its SQLite file.

    report = import_traces(store, "mlflow.db")
    report = import_traces(store, "http://localhost:5000", experiments=["support"])

MLflow itself is neither needed nor imported: the file is read with Python's own sqlite3, read-only, and the
server through its REST API.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from judge_opt.traces.bulk import Record
from judge_opt.traces.importers.report import Skipped


def read_mlflow(
    source: str | Path,
    experiments: Sequence[str | int] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Record | Skipped]:
    """The traces of a tracking server (a URL) or of its database (a file, or `sqlite:///file`), oldest first.

    Args:
        experiments: names or ids; all of them by default.
        headers: sent with each request, such as `{"Authorization": "Bearer ..."}`.

    Raises:
        DataError: it is no MLflow database, or the server's answer cannot be read.
        EndpointUnreachable: no server answers.
        NotFound: there is no such experiment; the message lists those that exist.
    """
    text = str(source)
    if text.startswith(("http://", "https://")):
        from judge_opt.integrations.mlflow.server import read_server

        return read_server(text, experiments, headers)
    from judge_opt.integrations.mlflow.database import read_database

    return read_database(Path(text.removeprefix("sqlite:///")), experiments)
