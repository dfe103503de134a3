"""`h2` as the gateway uses it: frames, stream states, windows and settings, all without I/O.

What `h2` would make an error of the whole connection although the protocol lets it be one of a
stream is taken out of its hands: header lists (`router.http2.hpack`) and streams above the limit.
"""

from __future__ import annotations

from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from fleet.wire import LimitsEntry
from router.http2.frames import PREFACE
from router.http2.hpack import FieldDecoder, LiteralEncoder

STREAM_WINDOW: Final = 131_072
"""Bytes of a request's body that may be under way while nobody takes them."""

FIELD_OVERHEAD: Final = 32
"""Bytes that count for each field besides its own (RFC 9113 section 6.5.2)."""

READ_FACTOR: Final = 2
"""A header list this many times the limit is still read, so that it is answered with 431; a larger
one ends the connection."""

_CONFIG: Final = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class Session(H2Connection):
    """See the module. `max_read`: bytes of a header list, or of a compressed one, that is read."""

    MAX_CLOSED_STREAMS = 1024
    """Streams whose end is remembered; 65,536 in `h2`, of 100 bytes each."""

    decoder: FieldDecoder

    def __init__(self, limits: LimitsEntry) -> None:
        super().__init__(_CONFIG)
        announced = limits.header_size + FIELD_OVERHEAD * limits.headers
        self.max_read = READ_FACTOR * announced
        self.decoder = FieldDecoder(self.max_read)
        self.encoder = LiteralEncoder()
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                SettingCodes.MAX_CONCURRENT_STREAMS: limits.streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: announced,
            },
        )
        self.initiate_connection()
        self.receive_data(PREFACE)  # it has been checked by the time a frame comes
        # room for every stream's window: a request that is held keeps no other waiting
        spare = limits.streams * STREAM_WINDOW - self.inbound_flow_control_window
        self.increment_flow_control_window(max(1, min(spare, self.MAX_WINDOW_INCREMENT - 65_535)))

    @property
    def open_inbound_streams(self) -> int:
        """None, as `h2` is to refuse none. It forgets those that are over when it counts them."""
        _ = super().open_inbound_streams
        return 0


def goaway(last_stream_id: int, code: int, message: str = "") -> bytes:
    """A GOAWAY frame. `h2` sends nothing more behind its own, where streams may yet go on."""
    frame = GoAwayFrame(
        0, last_stream_id=last_stream_id, error_code=code, additional_data=message.encode()
    )
    return frame.serialize()
