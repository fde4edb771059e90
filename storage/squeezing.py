"""
Small values, of which most bytes are the same in each row, as the tables keep them.

A byte tells the form: 0, the plain data behind it; 2, a zstd frame without its magic number, made
against a dictionary that is part of the source. A dictionary never changes as long as there is a
row that was made with it: the frame names none, and against another one other bytes come out.
"""

import threading

import zstandard

_LEVEL = 6
_PLAIN, _FRAME = b"\x00", b"\x02"
_FORMAT = zstandard.FORMAT_ZSTD1_MAGICLESS
_PARAMETERS = zstandard.ZstdCompressionParameters.from_level(
    _LEVEL, format=_FORMAT, write_dict_id=False
)


class Squeezer(threading.local):
    """Used from any thread: each has a context of its own, for they are dear to make."""

    def __init__(self, known: bytes) -> None:
        """`known` is what the data is likely to hold, the likeliest last."""
        self._known = zstandard.ZstdCompressionDict(known, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        self._compressor = zstandard.ZstdCompressor(
            compression_params=_PARAMETERS, dict_data=self._known
        )
        self._decompressor = zstandard.ZstdDecompressor(dict_data=self._known, format=_FORMAT)

    def squeeze(self, data: bytes) -> bytes:
        frame = self._compressor.compress(data)
        return _FRAME + frame if len(frame) < len(data) else _PLAIN + data

    def unsqueeze(self, content: bytes) -> bytes:
        """Raises ValueError if it is not what `squeeze` gives."""
        form = content[:1]
        if form == _PLAIN:
            return content[1:]
        if form != _FRAME:
            raise ValueError(f"a value of an unknown form {form.hex() or 'without bytes'}")
        try:
            return self._decompressor.decompress(content[1:])
        except zstandard.ZstdError as error:
            raise ValueError(f"a damaged value: {error}") from error
