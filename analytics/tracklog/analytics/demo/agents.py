"""Be the agents of an editorial room: an editor who asks specialists about a manuscript, and the specialists.

An example of how agents are tracked: they log as they always did, and say where an execution begins.
"""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from tracklog.analytics.demo.manuscript import CHAPTERS, TITLE, sentences, telling
from tracklog.analytics.demo.model import LocalModel, ModelOverloadedError
from tracklog.processors import BaseAgent, ExecutionStage, current_execution, execution, inject, pending

log = structlog.get_logger()
model = LocalModel()

FEELINGS: Final = frozenset(("afraid", "angry", "ashamed", "fond", "glad"))

PLACES: Final = 5
"""So many specialists work on a question; more are only noted down."""


async def ask(task: str, question: str, text: str) -> str:
    """Ask the model on behalf of the execution that is current, again after a while if it is overloaded."""
    run = current_execution()
    assert run is not None
    messages = [{"role": "system", "content": task}, {"role": "user", "content": f"{question}\n\n{text}"}]
    for wait in (0.1, 0.2, 0.4, 0.8, 1.6):
        try:
            with run.llm_call(model.name, {"messages": messages}) as call:
                answer = await model.chat(messages)
                call.set_response(answer, finish_reason=answer["finish_reason"])
        except ModelOverloadedError as error:
            log.warning("model overloaded", error=str(error), again_after_s=wait)
            await asyncio.sleep(wait)
        else:
            return str(answer["content"])
    raise ModelOverloadedError("the model stayed overloaded")


async def edit(question: str, conversation_id: str) -> str:
    """Answer a question about the manuscript: ask whom it concerns, all at the same time, and sum up what they say."""
    with execution(
        "Editor", method="edit", vault_id=TITLE, conversation_id=conversation_id, input_data={"question": question}
    ) as run:
        with run.stage(ExecutionStage.PRE_PROCESS, "choosing specialists"):
            roster = "\n".join(f"{one.name}: {one.about}" for one in ROSTER)
            answer = await ask("Choose whom the question concerns.", question, roster)
            words = dict(line.split(": ") for line in answer.splitlines())
        chosen = [(one, f"because of: {words[one.name]}") for one in ROSTER if one.name in words]
        log.info("specialists chosen", names=list(words), places=PLACES)
        for one, reason in chosen[PLACES:]:
            pending(one.name, call_reason=reason)
        asked = chosen[:PLACES]
        notes = await asyncio.gather(*(one.work(question, reason) for one, reason in asked), return_exceptions=True)
        for (one, _), note in zip(asked, notes, strict=True):
            if isinstance(note, Exception):
                log.warning("specialist gave no answer", name=one.name, error=repr(note))
        given = [note for note in notes if isinstance(note, str)]
        with run.stage(ExecutionStage.POST_PROCESS, "summing up"):
            summary = await ask("Summarise the notes.", question, "\n".join(given))
        run.set_output({"answer": summary, "notes": len(given)})
        return summary


async def compare_chapters(question: str, reason: str) -> str:
    """Let every chapter be read on its own, all at the same time, and compare what they say."""
    with execution("Continuity", method="compare", call_reason=reason, input_data={"question": question}) as run:
        about = "When does the light go out on the night of the storm?"
        found = await asyncio.gather(*(read_chapter(about, number) for number in range(len(CHAPTERS))))
        log.info("chapters read", chapters=len(found))
        verdict = await ask("Compare the notes.", about, "\n".join(found))
        run.set_output({"verdict": verdict})
        return verdict


@execution("ChapterReader", call_reason="one chapter at a time")
async def read_chapter(question: str, number: int) -> str:
    """Find what a chapter says about something."""
    log.info("reading", chapter=number + 1)
    passage = await ask("Find the passage.", question, CHAPTERS[number])
    return f"chapter {number + 1}: {passage}"


async def order_events(question: str, reason: str) -> str:
    """Put the events in their order; that needs the whole manuscript at once, and an answer in time."""
    with execution("Timekeeper", method="order", call_reason=reason, input_data={"question": question}):
        async with asyncio.timeout(1.5):
            return await ask("Find the passage.", question, " ".join(CHAPTERS))


async def judge_style(question: str, reason: str) -> str:
    """Name the longest sentence of every chapter."""
    with execution("StyleCritic", method="judge", call_reason=reason, input_data={"question": question}) as run:
        lengths = []
        for number, chapter in enumerate(CHAPTERS, start=1):
            answer = await ask("Judge the sentences, in JSON.", question, chapter)
            run.stage(ExecutionStage.LLM_PARSE, "parsing the model's answer", {"chapter": number})
            lengths.append(json.loads(answer)["words"])
        verdict = f"The longest sentence has {max(lengths)} words."
        run.set_output({"verdict": verdict})
        return verdict


async def find_years(question: str, reason: str) -> str:
    """Name the years that are mentioned."""
    with execution("Historian", method="date", call_reason=reason, input_data={"question": question}) as run:
        passage = await ask("Find the passage.", "in February or March 1911", CHAPTERS[0])
        years = sorted(word for word in telling(passage) if word.isdigit())
        log.info("years found", years=years)
        run.set_output({"years": years})
        return f"It plays in {' and '.join(years)}."


class Psychologist(BaseAgent):
    """Says what people feel, if the passages in question tell of it."""

    async def should_respond(self, query: Any = None, *args: Any, **kwargs: Any) -> tuple[bool, float, str]:
        """Find oneself concerned if feelings are told in two of five sentences on what is asked."""
        concerned = [words for words in map(telling, sentences(" ".join(CHAPTERS))) if words & telling(query)]
        moved = sum(bool(words & FEELINGS) for words in concerned)
        score = moved / max(1, len(concerned))
        return score >= 0.4, score, f"feelings in {moved} of {len(concerned)} sentences on this"

    async def work(self, question: str, reason: str) -> str | None:
        """Answer, or leave it to others."""
        tracker = self.create_tracker()
        async with tracker.track_execution("work", input_data={"question": question}, call_reason=reason):
            concerned, score, why = await self.should_respond(question)
            await tracker.track_should_respond(concerned, score, why)
            if not concerned:
                return None
            await tracker.track_stage(ExecutionStage.LLM_PREPARE, "Looking for feelings")
            passage = await ask("Find the passage.", f"{question} {' '.join(sorted(FEELINGS))}", CHAPTERS[1])
            feelings = sorted(telling(passage) & FEELINGS)
            await self.log_event("feelings found", count=len(feelings))
            tracker.set_output({"feelings": feelings})
            return f"She feels {' and '.join(feelings)}."


async def check_names(question: str, reason: str) -> str:
    """Name the people who could recognise themselves, and go to law."""
    with execution("Lawyer", method="check", call_reason=reason, input_data={"question": question}) as run:
        names = sorted(set(re.findall(r"[A-Z][a-z]+ [A-Z][a-z]+", " ".join(CHAPTERS))))
        log.info("names found", count=len(names))
        run.set_output({"names": names})
        return f"To be asked first: {', '.join(names)}."


async def order_proofs(question: str, reason: str) -> str:
    """Hand the proofs to another process, which reads jobs from our output; nobody waits for it."""
    sys.stdout.write(json.dumps({"question": question, "reason": reason, "headers": inject()}) + "\n")
    sys.stdout.flush()
    log.info("proofs ordered")
    return "The proofs will follow."


async def read_proofs(question: str, reason: str) -> str:
    """Look for misprints in the whole manuscript at once, however long it takes."""
    with execution("Proofreader", method="read", call_reason=reason, input_data={"question": question}) as run:
        log.info("proofs begun", chapters=len(CHAPTERS))
        misprints = await ask("Proofread the text.", question, " ".join(CHAPTERS))
        run.set_output({"misprints": misprints})
        return misprints


@dataclass(frozen=True, slots=True)
class Specialist:
    """Whom the editor may ask, and what about."""

    name: str
    about: str
    work: Callable[[str, str], Awaitable[str | None]]


ROSTER: Final = (
    Specialist("Continuity", "whether people and facts agree", compare_chapters),
    Specialist("Timekeeper", "the order of things in time", order_events),
    Specialist("StyleCritic", "whether it is told well", judge_style),
    Specialist("Psychologist", "why people act as they do", Psychologist().work),
    Specialist("Historian", "the year in which it plays", find_years),
    Specialist("Proofreader", "whether it is well printed", order_proofs),
    Specialist("Lawyer", "whether people may go to law", check_names),
)
