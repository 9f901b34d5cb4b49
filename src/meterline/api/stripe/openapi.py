"""What the generated API document says of an operation's parameters."""

import re
from typing import Any

from meterline.api.stripe.params import Params


def describe(method: str, path: str, params: type[Params]) -> dict[str, Any]:
    """The OpenAPI fragment: path parameters, and the others in the query or in a form body."""
    schema = _inlined(params.model_json_schema())
    described: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    if method == "POST":
        body = {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}
        return {"parameters": described, "requestBody": body}
    required = set(schema.get("required", ()))
    described += [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "style": "deepObject",
            "explode": True,
            "schema": member,
        }
        for name, member in schema.get("properties", {}).items()
    ]
    return {"parameters": described}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without `$defs`, whose references could not be followed from inside an operation."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolve(definitions[node["$ref"].rpartition("/")[2]])
            return {key: resolve(member) for key, member in node.items()}
        if isinstance(node, list):
            return [resolve(member) for member in node]
        return node

    resolved: dict[str, Any] = resolve(schema)
    return resolved
