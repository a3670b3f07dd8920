"""Names that 1.0.7 has under this path; they live in `file_input`, `file_output` and `file_source`."""

from ._files.output import FileOutput as FileOutput
from ._files.output import transform_output as transform_output
from ._files.sources import base64_encode_file as base64_encode_file
from ._files.upload import async_encode_json as async_encode_json
from ._files.upload import encode_json as encode_json
