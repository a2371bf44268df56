"""Questions that arrive whole are answered in front of the framework, as the framework would."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from serving.app import Service, create_app
from serving.at_once import AtOnce, Question
from serving.one_write import head_of
from serving.protocol import bounded_protocol
from serving.settings import Settings
from tests.serving.service import decisions, make_keys, publish_shop

PATH = "/v1/recommendations"
ASKED = {"placement": "home", "visitor_id": "ann", "limit": 3}


def question(
    body: bytes | dict[str, Any] = ASKED, path: str = PATH, method: str = "POST", **headers: str
) -> bytes:
    """A request of one piece. Of the headers a line is a dash; an empty one is left out."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content_type": "application/json", "x_api_key": "KEY", "x_request_id": "r-1"}
    given |= {"content_length": f"{len(content)}"} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items() if value]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines])
    return f"{head}\r\n\r\n".encode() + content


TAKEN = {
    "plain": question(),
    "nothing said": question({}),
    "explained": question(ASKED | {"explain": True, "return_properties": True}),
    "nobody": question({"placement": "home"}),
    "no request id": question(x_request_id=""),
    "two request ids": question(X_Request_Id="r-2"),
    "bearer": question(x_api_key="", authorization="Bearer KEY"),
    "no key": question(x_api_key=""),
    "wrong key": question(x_api_key="nobody's"),
    "no JSON": question(b"{"),
    "a key twice": question(b'{"placement": "home", "placement": "cart"}'),
    "unknown field": question({"placement": "home", "what": 1}),
    "unknown placement": question({"placement": "nowhere"}),
    "unacceptable filter": question(ASKED | {"filter": {"no": {"such": "thing"}}}),
    "other type": question(content_type="text/plain"),
    "other charset": question(content_type="application/json; charset=latin-1"),
    "no type": question(content_type=""),
    "encoded": question(content_encoding="gzip"),
    "too large": question(b" " * 20_001),
}
PASSED_ON = {
    "other path": question(path="/v1/nothing"),
    "other method": question(method="PUT"),
    "with a query": question(path=f"{PATH}?limit=3"),
    "page": question({"placements": []}, path=f"{PATH}/page"),
    "from a page": question(origin="https://shop.example"),
    "asks first": question(expect="100-continue"),
    "closes": question(connection="close"),
    "old": question().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "in chunks": question(
        b"4\r\n{}  \r\n0\r\n\r\n", content_length="", transfer_encoding="chunked"
    ),
}


class Watched(AtOnce):
    """Counts what it takes."""

    taken = 0

    def take(self, *args: Any) -> bool:
        done = super().take(*args)
        self.taken += done
        return done


class Shop:
    """A service that runs in this event loop, behind real sockets."""

    def __init__(self, app: Service, key: str, address: tuple[str, int]) -> None:
        self.app, self._key, self._address = app, key.encode(), address

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._address)

    def sent(self, request: bytes) -> bytes:
        return request.replace(b"KEY", self._key)

    async def ask(self, *parts: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
        """One request on a connection of its own, in so many packets."""
        reader, writer = await self.connect()
        for part in parts:
            writer.write(self.sent(part))
            await asyncio.sleep(0.01 if len(parts) > 1 else 0)
        answer = await read_answer(reader)
        writer.close()
        return answer


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], dict[str, Any]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if head.startswith("HTTP/1.1 100"):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(status.split()[1]), headers, json.loads(body)


@asynccontextmanager
async def shop(root: Path, *, is_watched: bool = True, **more: Any) -> AsyncIterator[Shop]:
    """A service for the time of a ``with`` block; without `AtOnce` unless it is watched."""
    key = make_keys(root)["server"] if not (root / "keys.json").exists() else ""
    app = create_app(Settings(root=root, explore=False, max_body_bytes=20_000, **more))
    app.at_once.__class__ = Watched
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    protocol = bounded_protocol(5.0, app.at_once if is_watched else None)
    async with app.router.lifespan_context(app):
        server = await loop.create_server(
            lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        async with server:
            yield Shop(app, key, server.sockets[0].getsockname()[:2])
            for connection in list(state.connections):
                connection.transport.abort()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    publish_shop(tmp_path)
    return tmp_path


def told(answer: tuple[int, dict[str, str], dict[str, Any]], *, own_id: bool) -> Any:
    """An answer without what no two answers share."""
    status, headers, body = answer
    if own_id:
        assert re.fullmatch("[0-9a-f]{32}", headers.pop("x-request-id"))
        body.pop("request_id", None)
    if "recommendation_id" in body:
        assert len(headers.pop("content-length")) > 1
    for name in ("recommendation_id", "took_ms", "next_cursor"):
        body.pop(name, None)
    return status, headers, body


def test_whoever_answers_says_the_same(root: Path) -> None:
    async def run() -> None:
        async with shop(root) as ours:
            found = {}
            for name, request in (TAKEN | PASSED_ON).items():
                before = ours.app.at_once.taken
                found[name] = await ours.ask(request), ours.app.at_once.taken - before
        async with shop(root, is_watched=False) as theirs:
            theirs._key = ours._key
            for name, request in (TAKEN | PASSED_ON).items():
                mine, taken = found[name]
                own_id = name == "no request id"
                expected = told(await theirs.ask(request), own_id=own_id)
                assert told(mine, own_id=own_id) == expected, name
                assert taken == (name in TAKEN), name

    asyncio.run(run())
    answers = [each for each in decisions(root) if each.surface == "home"]
    assert len(answers) % 2 == 0  # each was recorded, on both ways
    assert len({each.seq for each in answers if each.writer == answers[0].writer}) > 5


@pytest.mark.parametrize("at", [10, 60, -5], ids=["request line", "head", "body"])
def test_what_comes_in_two_pieces_is_left_to_the_framework(root: Path, at: int) -> None:
    async def run() -> None:
        async with shop(root) as ours:
            request = ours.sent(question())
            status, _, body = await ours.ask(request[:at], request[at:])
            assert (status, len(body["items"])) == (200, 3)
            # A head that came late is whole all the same; a body is not.
            assert ours.app.at_once.taken == (at > 0)

    asyncio.run(run())


def test_a_body_of_another_type_is_refused_before_it_comes(root: Path) -> None:
    async def run() -> None:
        async with shop(root) as ours:
            head, _, _ = question(content_type="text/plain").partition(b"{")
            status, _, problem = await ours.ask(head)
            assert (status, problem["code"]) == (415, "content_type_refused")

    asyncio.run(run())


def test_requests_that_follow_each_other_unasked_are_answered_in_order(root: Path) -> None:
    async def run() -> None:
        async with shop(root) as ours:
            reader, writer = await ours.connect()
            requests = [question(x_request_id=f"r{n}") for n in range(4)]
            writer.write(ours.sent(b"".join(requests)))
            names = [(await read_answer(reader))[1]["x-request-id"] for _ in requests]
            assert names == ["r0", "r1", "r2", "r3"]
            writer.write(ours.sent(requests[0]))
            assert (await read_answer(reader))[0] == 200
            writer.close()
            assert ours.app.at_once.taken == 2

    asyncio.run(run())


def test_records_of_a_turn_are_one_write_before_the_answers(root: Path) -> None:
    async def run() -> list[str]:
        done: list[str] = []
        async with shop(root) as ours:
            state = ours.app.service
            record_all, tell = state.intake.record_all, Question.tell

            def recorded(records: Sequence[Any]) -> list[int | None]:
                done.append(f"{len(records)} records")
                return record_all(records)

            state.intake.record_all = recorded
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Question, "tell", lambda self: (done.append("told"), tell(self)))
                state.turns.slice_seconds = 10.0
                waiting = [await ours.connect() for _ in range(3)]
                loop = asyncio.get_running_loop()
                loop.call_soon(lambda: [w.write(ours.sent(question())) for _, w in waiting])
                await asyncio.gather(*(read_answer(reader) for reader, _ in waiting))
                for _, writer in waiting:
                    writer.close()
            assert state.turns.gate.inside == state.requests.inside == state.metrics.under_way == 0
        return done

    done = asyncio.run(run())
    assert done.count("told") == 3
    told_of = [int(each.split()[0]) for each in done if "records" in each]
    assert sum(told_of) == 3
    assert done[0].endswith("records")
    assert len(decisions(root)) == 3


def test_records_that_cannot_be_written_cost_no_answer(root: Path) -> None:
    async def run() -> None:
        async with shop(root) as ours:
            ours.app.service.intake.record_all = lambda records: [None] * len(records)
            assert (await ours.ask(question()))[0] == 200
            assert ours.app.service.metrics.decisions_lost._value.get() == 1

    asyncio.run(run())


def test_who_has_gone_gets_no_answer_and_those_behind_do(root: Path) -> None:
    async def run() -> None:
        async with shop(root) as ours:
            _, writer = await ours.connect()
            with pytest.MonkeyPatch.context() as patch:
                ask = Question.ask

                def leaves(self: Question, *args: Any) -> None:
                    self.disconnected = True
                    ask(self, *args)

                patch.setattr(Question, "ask", leaves)
                writer.write(ours.sent(question()))
                while not ours.app.at_once.taken:
                    await asyncio.sleep(0.01)
            writer.close()
            assert (await ours.ask(question()))[0] == 200
            assert ours.app.service.turns.gate.inside == 0

    asyncio.run(run())
    assert len(decisions(root)) == 1


def test_who_waits_while_the_service_leaves_is_answered_and_closed(root: Path) -> None:
    async def run() -> None:
        async with shop(root) as ours:
            with pytest.MonkeyPatch.context() as patch:
                answer = Question.answer

                def leaves(self: Question) -> None:
                    ours.app.service.is_draining = True
                    answer(self)

                patch.setattr(Question, "answer", leaves)
                reader, writer = await ours.connect()
                writer.write(ours.sent(question()))
                status, headers, _ = await read_answer(reader)
            assert (status, headers["connection"]) == (200, "close")
            assert await reader.read() == b""
            writer.close()
            _, headers, _ = await ours.ask(question())
            assert headers["connection"] == "close"
            assert ours.app.at_once.taken == 1

    asyncio.run(run())


def test_a_connection_is_not_closed_unannounced(root: Path) -> None:
    """The signal may come while the system takes the answer, whose head says nothing of it."""

    async def run() -> None:
        async with shop(root) as ours:
            with pytest.MonkeyPatch.context() as patch:

                def told_meanwhile(*args: Any) -> bytes:
                    ours.app.service.is_draining = True
                    return head_of(*args)

                patch.setattr("serving.at_once.head_of", told_meanwhile)
                reader, writer = await ours.connect()
                writer.write(ours.sent(question()))
                status, headers, _ = await read_answer(reader)
                assert (status, headers.get("connection")) == (200, None)
                writer.write(ours.sent(question()))
                status, headers, _ = await read_answer(reader)
            assert (status, headers["connection"]) == (200, "close")
            assert await reader.read() == b""
            writer.close()
            assert ours.app.at_once.taken == 1

    asyncio.run(run())


def test_too_many_who_wait_are_shed(root: Path) -> None:
    async def run() -> None:
        async with shop(root, max_waiting_answers=1) as ours:
            gate = ours.app.service.turns.gate
            gate.enter()  # somebody waits
            status, headers, body = await ours.ask(question())
            assert (status, headers["retry-after"], body["code"]) == (503, "1", "overloaded")
            gate.leave()
            assert (await ours.ask(question()))[0] == 200

    asyncio.run(run())


def test_an_error_that_nobody_expected_is_told_and_logged(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with shop(root) as ours:
            ours.app.service.new_id = lambda: 1 / 0
            status, _, body = await ours.ask(question())
            assert (status, body["code"]) == (500, "internal_error")

    asyncio.run(run())
    assert "ZeroDivisionError" in caplog.text
