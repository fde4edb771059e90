"""
Which hosts are decrypted: model providers and the agents' own first-party services.

Everything else passes through untouched. The same list limits what the certificate authority may
vouch for (`certificate_names`), so each host is either a full name, or a suffix that begins with a
dot: a pattern with a hole in the middle has no form as an X.509 name constraint. That is why
regional hosts are spelled out.

Left out on purpose, though agents talk to them: api.github.com (`gh` and git tools use it with the
user's whole account, Copilot's model calls go to githubcopilot.com), oauth2.googleapis.com and
play.googleapis.com (Google's, for any program), registries, downloads and crash reporters.
`--host-extra` adds what a user wants.

Hosts as seen in captures of the six CLIs (2026-11), others from the providers' API references.
"""

import ipaddress
import re
from collections.abc import Iterable

_REGIONS_AWS = (
    "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1",
    "eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1", "eu-south-1",
    "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
)  # fmt: skip
_REGIONS_GOOGLE = (
    "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1", "us-west4",
    "europe-west1", "europe-west2", "europe-west3", "europe-west4", "europe-west9",
    "asia-east1", "asia-northeast1", "asia-northeast3", "asia-south1", "asia-southeast1",
)  # fmt: skip

HOSTS = (
    # Anthropic, Claude Code
    "api.anthropic.com",
    "mcp-proxy.anthropic.com",
    "console.anthropic.com",
    "platform.claude.com",
    "claude.ai",
    # OpenAI, Codex
    "api.openai.com",
    "chatgpt.com",
    "ab.chatgpt.com",
    "auth.openai.com",
    ".openai.azure.com",
    ".services.ai.azure.com",
    # Google, Gemini CLI
    "generativelanguage.googleapis.com",
    "cloudcode-pa.googleapis.com",
    "aiplatform.googleapis.com",
    *(f"{region}-aiplatform.googleapis.com" for region in _REGIONS_GOOGLE),
    # GitHub Copilot CLI
    ".githubcopilot.com",
    "copilot-telemetry.githubusercontent.com",
    # opencode
    "opencode.ai",
    "models.opencode.ai",
    # Qwen Code
    "dashscope.aliyuncs.com",
    "dashscope-intl.aliyuncs.com",
    "dashscope-us.aliyuncs.com",
    "chat.qwen.ai",
    "portal.qwen.ai",
    # other providers that speak one of the wire formats
    *(f"bedrock-runtime.{region}.amazonaws.com" for region in _REGIONS_AWS),
    "openrouter.ai",
    "api.mistral.ai",
    "codestral.mistral.ai",
    "api.groq.com",
    "api.x.ai",
    "api.deepseek.com",
    "api.moonshot.ai",
    "api.moonshot.cn",
    "api.z.ai",
    "open.bigmodel.cn",
    "api.minimax.io",
    "api.together.xyz",
    "api.fireworks.ai",
    "api.cerebras.ai",
    "api.perplexity.ai",
    "api.cohere.com",
    "integrate.api.nvidia.com",
    "router.huggingface.co",
    "ollama.com",
)

# A model server on this machine or in the local network has no name that a list could hold. Its
# plain HTTP is in the clear anyway, so what counts is whether the path is a model call's.
_MODEL_PATH = re.compile(
    rb"(?:/v1/(?:messages|responses|chat/completions|completions|embeddings|models)"
    rb"|/v1beta/models(?:/[^/?]+:\w+)?"
    rb"|/api/(?:chat|generate|embed|embeddings|tags|show|ps|version))(?:[/?]|$)"
)


class Scope:
    """Decides by host name. `everything` decrypts whatever comes (`--scope all`)."""

    def __init__(self, extra_hosts: Iterable[str] = (), *, everything: bool = False) -> None:
        self.everything = everything
        names = {_normal(host) for host in (*HOSTS, *extra_hosts)}
        self._suffixes = tuple(sorted(name for name in names if name.startswith(".")))
        self._exact = frozenset(name for name in names if not name.startswith("."))

    @property
    def name(self) -> str:
        """As `--scope` calls it."""
        return "all" if self.everything else "agents"

    def matches(self, host: str) -> bool:
        """Whether the traffic with `host` is decrypted and recorded."""
        if self.everything:
            return True
        name = _normal(host)
        return name in self._exact or f".{name}".endswith(self._suffixes)

    def matches_plain(self, host: str, target: bytes) -> bool:
        """Whether a plain HTTP request is recorded: by its host, or as a local model call."""
        return self.matches(host) or (_is_local(host) and _MODEL_PATH.match(target) is not None)

    def certificate_names(self) -> tuple[str, ...] | None:
        """What the certificate authority must be able to vouch for; None: any host."""
        if self.everything:
            return None
        return tuple(sorted({name.removeprefix(".") for name in (*self._exact, *self._suffixes)}))


def _normal(host: str) -> str:
    """Lower case, no final dot, no brackets; `*.example.com` becomes `.example.com`."""
    return host.strip().strip("[]").lower().rstrip(".").removeprefix("*")


def _is_local(host: str) -> bool:
    """Loopback, private networks, and names without a dot or ending as local ones do."""
    name = _normal(host)
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith((".localhost", ".local", ".internal", ".lan"))
    return address.is_private or address.is_loopback or address.is_link_local
