"""What knows no resource: transport, operations, records, checks of arguments.

The Rust core is loaded here, before all modules that need it.
"""

try:
    from .._core import AbortController as AbortController
    from .._core import AbortSignal as AbortSignal
    from .._core import Response as Response
    from .._core import __version__ as __version__
except ImportError as error:
    from .unsupported import describe

    raise ImportError(describe(error), name=error.name, path=error.path) from error
