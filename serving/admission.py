"""What every request meets before and after its route, whoever takes it there."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.responses import Response

from serving.errors import PROBLEM_TYPE, Problem, internal_problem
from serving.exchange import Exchange, request_id_of
from serving.limits import check_headers
from serving.security import NOBODY, Caller, Rule, authorise, presented_key
from serving.state import ServiceState

logger = logging.getLogger(__name__)
CLIENT_LEFT = 499
Headers = Sequence[tuple[bytes, bytes]]


def begun(state: ServiceState, headers: Headers) -> Exchange:
    """A request has come: it has a name, and counts as under way until it is `ended`."""
    state.metrics.under_way += 1
    return Exchange(state, request_id_of(headers))


def admit(exchange: Exchange, rule: Rule, headers: Headers) -> None:
    """Find out who asks, and whether that may be asked. Raises `Problem`."""
    exchange.route = rule.template
    exchange.caller = _caller(rule, headers, exchange.state)
    check_headers(headers, exchange.state.settings.max_body_bytes)


def refusal(problem: Problem, exchange: Exchange) -> Response:
    """The answer to a refused request, which is counted."""
    exchange.state.metrics.problems.labels(problem.code).inc()
    body = problem.body(exchange.request_id)
    return Response(body, problem.status, problem.headers(), media_type=PROBLEM_TYPE)


def failure(error: Exception, exchange: Exchange) -> Response:
    """The answer to a request that failed by an error that nobody expected, which is logged."""
    logger.error("request failed", exc_info=error, extra={"request_id": exchange.request_id})
    return refusal(internal_problem(), exchange)


def complete(headers: list[tuple[bytes, bytes]], exchange: Exchange) -> bool:
    """Add the headers that every answer has; True where they ask to close the connection.

    Whoever closes it asks this answer and not the state once more: the signal to leave may come
    between two instructions, and a connection that closes unannounced resets the next request.
    """
    is_cached = False
    for name, _ in headers:
        is_cached |= name == b"cache-control"
    headers.append((b"x-request-id", exchange.request_id.encode()))
    headers.append((b"x-content-type-options", b"nosniff"))
    if not is_cached:
        headers.append((b"cache-control", b"no-store"))
    is_last = exchange.state.is_leaving
    if is_last:
        headers.append((b"connection", b"close"))
    return is_last


def ended(exchange: Exchange, status: int) -> None:
    """Count and time a request that was begun."""
    metrics = exchange.state.metrics
    metrics.under_way -= 1
    metrics.answered(exchange.route, status, exchange.elapsed_ms / 1000)


def _caller(rule: Rule, headers: Headers, state: ServiceState) -> Caller:
    key = presented_key(headers)
    if key is None and rule.takes_beacons and _is_plain_text(headers):
        return state.keys.find(None) or NOBODY  # the route asks for the key in the body
    return authorise(state.keys.find(key), rule.scopes)


def _is_plain_text(headers: Headers) -> bool:
    types = [value for name, value in headers if name == b"content-type"]
    return bool(types) and types[0].strip().lower().startswith(b"text/plain")
