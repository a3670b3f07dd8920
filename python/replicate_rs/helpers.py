"""Names that replicate 1.0.7 has in this module."""

from ._files.inputs import async_encode_json as async_encode_json
from ._files.inputs import encode_json as encode_json
from ._files.output import FileOutput as FileOutput
from ._files.output import transform_output as transform_output
from ._files.sources import base64_encode_file as base64_encode_file
