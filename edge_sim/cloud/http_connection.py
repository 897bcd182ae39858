"""One HTTP connection: uvicorn's, with a limit on how long a request may be on its way, and refusals in JSON."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_sim.cloud.peers import common_name
from edge_sim.cloud.shapes import dump

HEAD_LIMIT_S = 10.0
"""From the connection's start, or the last answer, to the end of the next request's head."""
MAX_CONNECTIONS = 256


class HttpConnection(H11Protocol):
    """A connection that is closed when its client falls silent before or within a request."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        certificate = transport.get_extra_info("peercert")
        self.app_state = {**self.app_state, "certificate": common_name(certificate)}  # a request's scope has it
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, "ServiceUnavailableException", f"More than {MAX_CONNECTIONS} connections are open.")
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def shutdown(self) -> None:
        """End the connection when its answer has left."""
        if self.cycle is None or self.cycle.response_complete:
            self._hang_up()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(400, "BadRequestException", msg)

    def _watch(self) -> None:
        """Run the limit exactly as long as no request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self._limit is None:
            self._limit = self.loop.call_later(HEAD_LIMIT_S, self._give_up)

    def _unwatch(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _give_up(self) -> None:
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0] and not self.transport.is_closing():
            text = f"The request did not arrive within {HEAD_LIMIT_S:g} s."
            self._refuse(408, "RequestTimeoutException", text)
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        """Close at once when everything is sent: over TLS ``close`` waits half a minute for the client's farewell."""
        if self.transport.is_closing() or not self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = dump({"code": code, "message": message})
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
