"""`judge-opt serve-model`: an embedded model for other programs, over OpenAI's HTTP interface."""

import signal
from typing import Annotated

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.options import Json
from judge_opt.core.errors import EXIT_OK, UsageError


def serve_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="local:/NAME, for example local:/smollm2.")],
    host: Annotated[str, typer.Option("--host", help="Other than loopback needs a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free port.")] = 8123,
    as_json: Json = False,
) -> int:
    """Serve an embedded model at http://HOST:PORT/v1, until Ctrl-C.

    The same model and the same probabilities as inside judge_opt. A key that clients must send is read
    from the environment variable JUDGE_OPT_SERVE_KEY.
    """
    from judge_opt.llm.serve import ModelServer
    from judge_opt.llm.uri import ModelURI

    uri = ModelURI.parse(model)
    if uri.provider != "local":
        raise UsageError(f"{model[:80]!r} does not run here.", "Only local:/ models are served.")
    quiet.after_imports()
    with ModelServer(uri.name, host=host, port=port) as server:
        # Before it is announced: who reads the line may send the signal at once.
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's way to say Ctrl-C
        try:
            output.say(f"serving {uri} at {server.base_url} (Ctrl-C stops)")
            if as_json:
                output.emit({"model": uri.name, "base_url": server.base_url})
            server.wait()
        except KeyboardInterrupt:
            output.say("stopped.")
    return EXIT_OK
