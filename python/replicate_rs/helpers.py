"""Names that 1.0.7 has under this path; they live in `file_input`, `file_output` and `file_source`."""

from .file_input import async_encode_json as async_encode_json
from .file_input import encode_json as encode_json
from .file_output import FileOutput as FileOutput
from .file_output import transform_output as transform_output
from .file_source import base64_encode_file as base64_encode_file
