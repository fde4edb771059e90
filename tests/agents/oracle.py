"""What the provider handed out and saw in a run, as what Wirescribe should have understood."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import genai_prices
import msgspec

from tests.provider import Answered, Exchange

from .runner import AgentCli, model_calls

# Model, input, output and cached tokens of one answer; None: no usage crossed the wire.
type Tokens = tuple[str, int | None, int | None, int | None]


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that was handed out whole."""

    call_id: str
    name: str
    arguments: dict[str, object] | str


class Saw(msgspec.Struct, frozen=True, kw_only=True):
    """
    `calls`: how often a model was asked. `refused`: how often that was answered by an error.
    `retries`: how often a body came again that had been refused or cut off.
    """

    calls: int
    refused: int
    retries: int
    answers: tuple[Answered, ...]

    def of_subagent(self) -> "Saw":
        """The calls of the tour's sub-agent that were answered."""
        own = tuple(one for one in self.answers if one.prompt.startswith("SCENARIO:detour"))
        return Saw(calls=len(own), refused=0, retries=0, answers=own)

    @property
    def cuts(self) -> int:
        return sum(answer.accident == "cut" for answer in self.answers)

    @property
    def handed(self) -> list[Handed]:
        return [
            Handed(call_id=call_id, name=name, arguments=arguments)
            for answer in self.answers
            if answer.accident is None
            for (call_id, name), arguments in zip(answer.tool_calls, answer.arguments, strict=True)
        ]


def saw(row: AgentCli, exchanges: Iterable[Exchange]) -> Saw:
    """Of the model calls among these exchanges; a socket's messages are calls of their own."""
    calls = model_calls(row, exchanges)
    answers = tuple(answer for call in calls for answer in call.answers)
    if not row.websocket:
        refused = sum((call.status or 0) >= 400 for call in calls)
        return Saw(calls=len(calls), refused=refused, retries=_retries(calls), answers=answers)
    asked = [message for call in calls for message in _sent(call) if _is_asking(message)]
    wanted = [message for message in asked if message.get("generate") is not False]
    refused = len(wanted) - len(answers)
    return Saw(calls=len(asked), refused=refused, retries=0, answers=answers)


def _retries(calls: Sequence[Exchange]) -> int:
    failed: set[bytes] = set()
    found = 0
    for call in calls:
        found += call.body in failed
        if (call.status or 0) >= 400 or call.outcome == "cut":
            failed.add(call.body)
    return found


def tokens(answer: Answered) -> Tokens:
    """
    What its decoder should find. Of one that was cut off, what the wire format says before the
    end: Anthropic what went in and a first token, Gemini all in every piece, the others nothing.
    """
    usage = answer.usage
    if answer.accident is None or answer.wire == "gemini":
        return answer.model, usage.input, usage.output, usage.cached
    if answer.wire == "anthropic":
        return answer.model, usage.input, 1, usage.cached
    return answer.model, None, None, None


def cost_usd(answers: Sequence[Answered], provider: str) -> float | None:
    """By list prices, reckoned for each answer by itself; None: no model has a price."""
    prices = [one for one in (_price(answer, provider) for answer in answers) if one is not None]
    return float(sum(prices)) if prices else None


def _price(answer: Answered, provider: str) -> Decimal | None:
    model, went_in, came_out, cached = tokens(answer)
    if went_in is None:
        return None
    written = answer.usage.cache_write if answer.wire == "anthropic" else None
    counts = genai_prices.Usage(
        input_tokens=went_in,
        output_tokens=came_out,
        cache_read_tokens=cached or None,
        cache_write_tokens=written or None,
    )
    try:
        return genai_prices.calc_price(counts, model, provider_id=provider).total_price
    except LookupError:
        return None


def _sent(call: Exchange) -> list[dict]:
    return [msgspec.json.decode(one.data) for one in call.messages if one.from_client]


def _is_asking(message: dict) -> bool:
    return message.get("type") == "response.create"
