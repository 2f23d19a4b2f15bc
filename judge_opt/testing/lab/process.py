"""The lab's server in a process of its own: it shares no interpreter with what is measured, and several use
several cores. `python -m judge_opt.testing.lab` is that process."""

import http.client
import json
import subprocess
import sys
from typing import IO
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from judge_opt.core.errors import EndpointUnreachable
from judge_opt.testing.lab.parameters import Parameters
from judge_opt.testing.lab.server import LabServer

_PARAMETERS = TypeAdapter(Parameters)


class LabProcess:
    """A `LabServer` in a child process; a context manager. It ends with its parent.

    Args:
        parameters: the personas' traits.

    Attributes:
        base_url: what to give as `base_url`.
    """

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters or Parameters()
        self.base_url = ""

    def __enter__(self) -> "LabProcess":
        self._child = subprocess.Popen(
            [sys.executable, "-m", "judge_opt.testing.lab"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(_PARAMETERS.dump_json(self.parameters) + b"\n")
        self._child.stdin.flush()
        self.base_url = self._child.stdout.readline().decode().strip()
        if not self.base_url:
            raise EndpointUnreachable(
                "The lab's server did not start.", "Read what `python -m judge_opt.testing.lab` prints."
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(10)
        if self._child.stdout is not None:
            self._child.stdout.close()

    def usage(self, key: str | None = "") -> dict[str, dict[str, int]]:
        """See `LabServer.usage`."""
        address = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        try:
            which = "/usage/all" if key is None else "/usage"
            connection.request("GET", address.path + which, headers={"Authorization": f"Bearer {key}"})
            found: dict[str, dict[str, int]] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found


def serve(stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Read parameters from a line, write the address on a line, and serve until the input ends."""
    server = LabServer(_PARAMETERS.validate_json(stdin.readline()))
    server.keep_requests = False
    with server:
        stdout.write(server.base_url.encode() + b"\n")
        stdout.flush()
        stdin.read()
