"""
The calls that agents make beside their model calls: settings, model lists, telemetry, sign-on.

Answers are good enough for the agents to go on; what is not listed is answered 404 as JSON,
which all six agents take as "not there" (seen on the wire, November 2026).
"""

import re

from . import ollama
from .records import Exchange
from .reply import Reply
from .request import Handler, Request

_COPILOT_MODELS = {
    "claude-haiku-4.5": ("Anthropic", ["/chat/completions", "/v1/messages"]),
    "claude-sonnet-4.5": ("Anthropic", ["/chat/completions", "/v1/messages"]),
    "gpt-5.2": ("OpenAI", ["/responses", "/chat/completions"]),
    "gpt-5-mini": ("OpenAI", ["/chat/completions", "/responses"]),
    "gpt-4.1": ("OpenAI", ["/chat/completions"]),
}


async def _empty(request: Request, reply: Reply) -> None:
    await request.read()
    await reply.json({})


async def _nothing(request: Request, reply: Reply) -> None:
    await request.read()
    await reply.head(200, [("content-length", "0")])
    await reply.end()


async def unknown(request: Request, reply: Reply) -> None:
    """404 for what nobody here knows."""
    await request.read()
    error = {"type": "not_found_error", "message": f"not scripted: {request.path}"}
    await reply.json({"type": "error", "error": error}, 404)


async def _absent(request: Request, reply: Reply) -> None:
    """What an agent asks for and does well without."""
    await unknown(request, reply)


async def _copilot_user(request: Request, reply: Reply) -> None:
    premium = {"entitlement": 300, "remaining": 200, "percent_remaining": 66, "unlimited": False}
    quotas = {
        "premium_interactions": premium | {"quota_id": "premium_interactions"},
        "chat": {"unlimited": True, "entitlement": 0, "remaining": 0, "percent_remaining": 100},
    }
    endpoints = {
        "api": "https://api.githubcopilot.com",
        "proxy": "https://copilot-proxy.githubusercontent.com",
        "telemetry": "https://copilot-telemetry.githubusercontent.com",
        "origin-tracker": "https://origin-tracker.githubusercontent.com",
    }
    user = {
        "login": "scripted",
        "access_type_sku": "copilot_pro",
        "copilot_plan": "individual_pro",
        "chat_enabled": True,
        "cli_enabled": True,
        "assigned_date": None,
        "can_signup_for_limited": False,
        "organization_list": [],
        "analytics_tracking_id": "scripted",
        "quota_reset_date": "2030-01-01",
    }
    await reply.json(user | {"endpoints": endpoints, "quota_snapshots": quotas})


async def _copilot_token(request: Request, reply: Reply) -> None:
    endpoints = {"api": "https://api.githubcopilot.com"}
    token = {"token": "tid=scripted;exp=4102444800", "expires_at": 4102444800, "refresh_in": 1500}
    await reply.json(token | {"endpoints": endpoints, "sku": "copilot_pro"})


async def _copilot_models(request: Request, reply: Reply) -> None:
    models = [
        _copilot_model(name, vendor, endpoints, index)
        for index, (name, (vendor, endpoints)) in enumerate(_COPILOT_MODELS.items())
    ]
    await reply.json({"object": "list", "data": models})


def _copilot_model(name: str, vendor: str, endpoints: list[str], index: int) -> dict[str, object]:
    limits = {"max_context_window_tokens": 200000, "max_output_tokens": 32000}
    supports = ("parallel_tool_calls", "streaming", "tool_calls", "vision", "structured_outputs")
    capabilities = {
        "family": name,
        "type": "chat",
        "object": "model_capabilities",
        "tokenizer": "o200k_base",
        "limits": limits | {"max_prompt_tokens": 160000},
        "supports": dict.fromkeys(supports, True),
    }
    return {
        "id": name,
        "name": name,
        "object": "model",
        "vendor": vendor,
        "version": name,
        "preview": False,
        "model_picker_enabled": True,
        "model_picker_category": "versatile",
        "is_chat_default": index == 0,
        "is_chat_fallback": name == "gpt-4.1",
        "billing": {"is_premium": True, "multiplier": 1, "restricted_to": []},
        "policy": {"state": "enabled", "terms": ""},
        "supported_endpoints": endpoints,
        "capabilities": capabilities,
    }


async def _models(request: Request, reply: Reply) -> None:
    """`/v1/models`: the list of Anthropic and the list of OpenAI, in one object."""
    model = {"id": "scripted-model", "object": "model", "type": "model", "owned_by": "scripted"}
    model |= {"display_name": "Scripted", "created_at": "2026-01-01T00:00:00Z"}
    await reply.json({"object": "list", "data": [model], "has_more": False})


async def _code_assist(request: Request, reply: Reply) -> None:
    """Gemini CLI with a Google login: a user who is set up already."""
    await request.read()
    tier = {"id": "free-tier", "name": "Scripted", "isDefault": True}
    await reply.json(
        {"currentTier": tier, "allowedTiers": [tier], "cloudaicompanionProject": "scripted"}
    )


# (method, host or None for any, path, handler); the first that fits answers.
_CALLS: list[tuple[str, str | None, str, Handler]] = [
    ("HEAD", None, r"/(api/hello)?", _nothing),
    ("GET", None, r"/api/hello", _empty),
    ("GET", None, r"/api/(claude_code|claude_cli|directory)/.*", _absent),
    ("GET", None, r"/api/claude_code_penguin_mode", _absent),
    ("POST", None, r"/api/eval/.*", _empty),
    ("POST", None, r"/api/event_logging/.*", _empty),
    ("GET", "api.githubcopilot.com", r"/models", _copilot_models),
    ("POST", "api.githubcopilot.com", r"/mcp(/.*)?", _empty),
    ("GET", "api.githubcopilot.com", r"/agents/.*", _absent),
    ("GET", None, r"/copilot_internal/user", _copilot_user),
    ("GET", None, r"/copilot_internal/v2/token", _copilot_token),
    ("GET", None, r"/copilot_internal/(managed_settings|team_customizations)", _absent),
    ("GET", "api.github.com", r"/repos/.*", _absent),
    ("GET", "github.com", r"/.*", _absent),
    ("POST", "copilot-telemetry.githubusercontent.com", r"/.*", _empty),
    ("POST", None, r"/telemetry", _empty),
    ("POST", None, r"/otlp/v1/.*", _empty),
    ("GET", None, r"/backend-api/(codex/models|plugins/.*)", _absent),
    ("POST", None, r"/backend-api/codex/analytics-events/.*", _empty),
    ("POST", "play.googleapis.com", r"/log", _empty),
    ("POST", None, r"/v1internal:loadCodeAssist", _code_assist),
    ("POST", None, r"/v1internal:\w+", _empty),
    ("POST", "gb4w8c3ygj-default-sea.rum.aliyuncs.com", r"/.*", _empty),
    ("GET", "models.opencode.ai", r"/.*", _absent),
    ("GET", "registry.npmjs.org", r"/.*", _absent),
    ("GET", None, r"/(v1/)?models", _models),
    ("GET", None, r"/api/tags", ollama.tags),
]


def find(exchange: Exchange) -> Handler | None:
    """The answer to a side call that is known here."""
    host = exchange.host.partition(":")[0]
    for method, wanted, path, handler in _CALLS:
        if (
            exchange.method == method
            and wanted in (None, host)
            and re.fullmatch(path, exchange.path)
        ):
            return handler
    return None
