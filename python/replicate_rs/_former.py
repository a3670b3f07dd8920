"""Modules of earlier releases that pickles and programs name, created when they are imported."""

from __future__ import annotations

from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import ModuleType

_PACKAGE = __name__.rpartition(".")[0]
# The modules in which names of former modules are defined now.
_MOVED = {
    "_operation": {"Async": "_base.session", "Sync": "_base.session"},
    "_record": {"_restored": "_base.record"},
    "_transport": {"Blocking": "_base.transport", "Suspending": "_base.transport"},
    "configurable": {"_restored": "_client.attributes"},
    "file_output": {"FileOutput": "_files.output", "_detached": "_files.output"},
    "file_text": {"get_path_url": "_files.urls"},
    "middleware": {"Request": "_client.http"},
    "options": {"Stats": "_client.stats", "Timeout": "_client.timeout"},
    "output_iterator": {
        "AsyncOutputIterator": "use",
        "OutputIterator": "use",
    },
    "progress": {"Progress": "_predictions.progress"},
    "relay": {"Relay": "stream"},
    "saving": {"asave_all": "_files.save_all", "save_all": "_files.save_all"},
    "search": {"FoundModel": "_client.search", "SearchResult": "_client.search"},
    "settings": {"_restored_session": "_client.config", "lost_token": "_client.config"},
    "webhook_verifier": {
        "SeenWebhooks": "_webhooks.verifier",
        "WebhookVerifier": "_webhooks.verifier",
        "_restored": "_webhooks.verifier",
    },
}


def find_spec(name: str) -> ModuleSpec | None:
    """Return the spec of a former module, or None."""
    return ModuleSpec(name, _Loader()) if name.rpartition(".")[2] in _MOVED else None


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Set the names that pickles look up."""
        for name, path in _MOVED[module.__name__.rpartition(".")[2]].items():
            setattr(module, name, getattr(import_module(f".{path}", _PACKAGE), name))
