"""The generated parts of the service's pages: routes, fields, settings, metrics, between marks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from serving.app import ENDPOINTS, create_app
from serving.endpoint import COMMON_STATUSES, Endpoint
from serving.settings import Settings, settings_table
from serving.telemetry import Metrics

ROOT = Path(__file__).resolve().parent.parent
HTTP_PAGE = ROOT / "docs" / "http-api.md"
OPERATIONS_PAGE = ROOT / "docs" / "operations.md"
PAGES = (HTTP_PAGE, OPERATIONS_PAGE)
PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def rendered(page: str) -> str:
    """A page with its generated parts made anew."""
    return PART.sub(lambda match: f"{match[1]}\n{part(match[2])}\n\n{match[4]}", page)


def part(name: str) -> str:
    """One generated part: ``routes``, ``settings``, ``metrics`` or ``fields STRUCT``."""
    whole = {"routes": routes, "settings": settings, "metrics": metrics}
    return whole[name]() if name in whole else struct_fields(name.removeprefix("fields "))


def routes() -> str:
    """All routes with who may use them and what they answer."""
    rows = [
        f"| `{each.method} {_path(each)}` | {each.summary} | {_scopes(each)} | {_statuses(each)} |"
        for each in ENDPOINTS
    ]
    return "\n".join(["| route | what for | scopes | answers |", "|---|---|---|---|", *rows])


def settings() -> str:
    """All settings of the service."""
    rows = [
        f"| `{row['variable']}` | `{row['flag']}` | {_code(row['default'])} | {row['meaning']} |"
        for row in settings_table()
    ]
    return "\n".join(["| variable | flag | default | meaning |", "|---|---|---|---|", *rows])


def metrics() -> str:
    """All metrics of the service, as a scrape names them."""
    rows = [
        f"| `{each.name}{'_total' if each.type == 'counter' else ''}` | {each.type} "
        f"| {each.documentation} |"
        for each in Metrics().registry.collect()
    ]
    return "\n".join(["| metric | type | what |", "|---|---|---|", *rows])


def struct_fields(name: str) -> str:
    """The fields of a struct, from the document that is served."""
    components = create_app(Settings(dev=True)).openapi()["components"]["schemas"]
    schema = components[name]
    rows = [
        f"| `{field}` | {_type(each)} | {_presence(field, schema, each)} |"
        for field, each in schema["properties"].items()
    ]
    return "\n".join(["| field | type | left out |", "|---|---|---|", *rows])


def _others(endpoint: Endpoint) -> list[int]:
    return [status for status, _ in endpoint.others]


def _path(endpoint: Endpoint) -> str:
    return endpoint.path.replace(":path", "")


def _scopes(endpoint: Endpoint) -> str:
    return " or ".join(f"`{scope}`" for scope in sorted(endpoint.scopes)) or "everybody"


def _statuses(endpoint: Endpoint) -> str:
    common = COMMON_STATUSES if endpoint.scopes else ()
    refusals = sorted(
        {*common, *endpoint.problems, *endpoint.same_shape, *_others(endpoint)} - {500}
    )
    return ", ".join(map(str, (endpoint.status, *refusals)))


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _presence(field: str, schema: dict[str, Any], described: dict[str, Any]) -> str:
    if field in schema["required"]:
        return "never"
    default = described.get("default")
    if default in (None, [], {}):
        return "may be"
    return f"means `{str(default).lower()}`"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"[{schema['$ref'].rpartition('/')[2]}](#openapi)"
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each != {"type": "null"}]
        return " or ".join(map(_type, kinds))
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in sorted(schema["enum"]))
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}{_limits(schema, 'minItems', 'maxItems')}"
    limits = _limits(schema, "minLength", "maxLength") or _limits(schema, "minimum", "maximum")
    return f"{schema['type']}{limits}"


def _limits(schema: dict[str, Any], low: str, high: str) -> str:
    least, most = schema.get(low), schema.get(high)
    if most is not None and most < 1 << 62:
        return f", {least or 0} to {most}"
    return f", from {least}" if least is not None else ""


def write_pages() -> None:
    """Make the generated parts anew."""
    for page in PAGES:
        page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")
