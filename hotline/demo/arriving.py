"""From the call to the dispatcher's desk: who takes it, what is decided at once, what is merged, handed over or withdrawn."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from hotline import aftercare, intake
from hotline.access import Actor
from hotline.demo import aftermath, corpus, handling
from hotline.demo.contacts import CRISES, OTHER_HOTLINES, REFUSED, TRANSFERRED
from hotline.demo.corpus import Saying
from hotline.demo.life import Life, Story
from hotline.demo.plan import Fate
from hotline.fields import Order
from hotline.orders import (
    AcceptOrder,
    AnswerOrder,
    AttachOrder,
    DecideOrder,
    HandOverOrder,
    MergeOrder,
    ReasonOrder,
    RefuseOrder,
    RegisterOrder,
    ReportUpOrder,
    TransferOrder,
)
from workflow.vocabulary import Act, Channel, FileClass, Role, State, TransferTarget

_CHANNELS: Final = {
    Channel.PHONE: 0.71,
    Channel.WECHAT: 0.12,
    Channel.APP: 0.08,
    Channel.WEB: 0.06,
    Channel.PLATFORM: 0.03,
}
_BY_FORM: Final = (Channel.WECHAT, Channel.APP, Channel.WEB)
_COMMANDS: Final[dict[Act, Callable[..., Any]]] = {
    Act.ACCEPT: intake.accept,
    Act.REFUSE: intake.refuse,
    Act.TRANSFER: intake.transfer,
    Act.REPORT_UP: intake.report_up,
}
_ACTIONABLE: Final = ("help", "complaint", "tipoff")
_MAY_MERGE_INTO: Final = frozenset({State.ACCEPTED, State.DISPATCHED, State.HANDLING, State.RETURN_PROPOSED})


def arrive(life: Life) -> Story:
    """The whole life of a ticket, from the instant of its call."""
    tell = {
        Fate.ANSWERED: _answered,
        Fate.REFUSED: _refused,
        Fate.TRANSFERRED: _transferred,
        Fate.REPORTED: _reported,
        Fate.DUPLICATE: _duplicate,
        Fate.CRISIS: _crisis,
        Fate.HANDLED: _handled,
    }
    phone_only = life.visit.fate in (Fate.TRANSFERRED, Fate.CRISIS)
    channels = list(_CHANNELS.values())
    life.channel = Channel.PHONE if phone_only else life.dice.choices(list(_CHANNELS), channels)[0]
    yield from tell[life.visit.fate](life)


def _decide(life: Life, verb: Act, order: Order | Callable[[Actor], Order]) -> Story:
    """Registered and decided by an agent on the line; a form is registered as it comes and decided at the agent's desk. An order
    that depends on the moment is made by who decides, then."""
    agent = life.someone(Role.AGENT)
    if life.channel not in _BY_FORM:
        yield life.visit.at + life.pace.minutes(2.5, 9)
        life.take(agent, verb, order if isinstance(order, Order) else order(agent))
        return
    yield life.visit.at + timedelta(seconds=life.dice.randint(1, 4))
    life.take(life.home.machine, Act.REGISTER, RegisterOrder())
    yield life.pace.at_platform(life.at, 8, 20 if life.quick else 170)
    life.receiver = agent
    command = life.stage.shelf.answer_at_once if verb is Act.ANSWER_AT_ONCE else _COMMANDS[verb]
    life.act(agent, command, order if isinstance(order, Order) else order(agent))


def _say(life: Life, *, answered: bool = False, matters: tuple[str, ...] | None = None) -> Saying:
    stage = life.stage
    if matters is None:
        return stage.corpus.demand(life.dice, life.home, stage.places, life.visit.at, answered=answered)
    return stage.corpus.demand(life.dice, life.home, stage.places, life.visit.at, matters=matters)


# --- ended at the intake ----------------------------------------------------------------------------------------------


def _answered(life: Life) -> Story:
    life.said = _say(life, answered=True)
    yield from _decide(life, Act.ANSWER_AT_ONCE, lambda agent: _told(life, agent))
    life.contended += 1
    yield from aftermath.archive(life)


def _told(life: Life, agent: Actor) -> AnswerOrder:
    """What the shelf says on it now, or else what the agent knows."""
    found = life.stage.shelf.answer(life.desk(agent), life.said)
    return found or AnswerOrder(answer=life.said.answer or life.said.reply)


def _refused(life: Life) -> Story:
    yield from _decide(life, Act.REFUSE, _refusal(life))
    yield from aftermath.archive(life)


def _refusal(life: Life) -> RefuseOrder:
    ground = life.dice.choices(list(REFUSED), [4, 14, 34, 14, 18, 16])[0]
    place = life.dice.randrange(len(REFUSED[ground]))
    stage = life.stage
    life.said = stage.corpus.call(life.dice, life.home, stage.places, REFUSED[ground][place], life.visit.at)
    words = stage.corpus.phrases["refusals"][ground][place]
    return RefuseOrder(ground=ground, explanation=words["explanation"], guidance=words["guidance"])


def _transferred(life: Life) -> Story:
    yield from _decide(life, Act.TRANSFER, _transfer(life))
    yield from aftermath.archive(life)


def _transfer(life: Life) -> TransferOrder:
    target = life.dice.choices(list(TRANSFERRED), [8, 6, 7, 8, 20, 26, 25])[0]
    place = life.dice.randrange(len(TRANSFERRED[target]))
    stage = life.stage
    life.said = stage.corpus.call(
        life.dice, life.home, stage.places, TRANSFERRED[target][place], life.visit.at
    )
    names = {
        "unit": f"{life.home.place}有关单位值班室",
        "other_hotline": OTHER_HOTLINES[place % len(OTHER_HOTLINES)],
    }
    return TransferOrder(
        target=TransferTarget(target),
        target_name=names.get(target),
        explanation=stage.corpus.phrases["transfers"][target][place],
    )


def _reported(life: Life) -> Story:
    """The agent cannot decide and reports up; the supervisor decides (art. 12)."""
    outcome = "accept" if life.quick else life.dice.choices(("accept", "refuse", "transfer"), (6, 3, 1))[0]
    order = DecideOrder(outcome="accept", reason="属于受理范围，按职责受理派单。")
    if outcome == "refuse":
        order = DecideOrder(outcome="refuse", reason="经认定属于不予受理情形。", refuse=_refusal(life))
    elif outcome == "transfer":
        order = DecideOrder(outcome="transfer", reason="经认定应当转接处理。", transfer=_transfer(life))
    else:
        life.said = _say(life)
    yield from _decide(
        life, Act.REPORT_UP, ReportUpOrder(reason="是否属于受理范围难以当场认定，报值班主管认定。")
    )
    yield life.pace.at_platform(life.at, 40, 420)
    life.act(life.someone(Role.SUPERVISOR), intake.decide, order)
    yield from handling.dispatched(life) if outcome == "accept" else aftermath.archive(life)


# --- accepted --------------------------------------------------------------------------------------------------------


def _handled(life: Life) -> Story:
    actionable = life.quick or life.visit.carries
    life.said = _say(
        life, matters=("complaint",) if life.meant(*_LONG) else _ACTIONABLE if actionable else None
    )
    yield from _accepted(life)
    yield from handling.dispatched(life)


_LONG: Final = (State.SUPPLEMENTING, State.REDOING, State.DISSATISFIED, State.RETURN_PROPOSED)


def _accepted(life: Life) -> Story:
    yield from _decide(life, Act.ACCEPT, AcceptOrder())
    if life.meant(State.WITHDRAWN) or (life.chance(0.014) and not life.visit.carries):
        life.begin(_withdrawn(life))
    if life.chance(0.012):
        life.begin(_handed_over(life))
    if life.chance(0.028):
        life.begin(_attached(life))


def _crisis(life: Life) -> Story:
    """A call under a declared emergency: dispatched at once, past the levels, to the county or town concerned (art. 17)."""
    number = life.visit.crisis or 0
    declared = life.stage.declared[number]
    call = life.dice.choice(CRISES[declared.kind].calls)
    spoken = life.stage.corpus.spoken(declared.area)
    life.said = life.stage.corpus.call_from(life.dice, call, declared.area, spoken, life.visit.at)
    yield from _accepted(life)
    yield from handling.dispatched_in_emergency(life, number)


def _duplicate(life: Life) -> Story:
    """The same thing as an earlier call: merged into it while it is still being handled (art. 14(3))."""
    main = life.stage.lives.get(life.visit.main or 0)
    if main is None or not main.number:
        yield from _handled(life)
        return
    said = main.said
    text = life.stage.corpus.echo(life.dice, said, life.visit.at)
    life.said = Saying(
        said.matter, said.category, said.title, text, said.area, said.duty, said.reply, said.redo_reply
    )
    yield from _decide(life, Act.ACCEPT, AcceptOrder())
    yield life.pace.at_platform(life.at, 6, 15 if life.quick else 90)
    if main.state in _MAY_MERGE_INTO:
        order = MergeOrder(
            into=main.number, reason="多人反映同一地点的同一问题，诉求内容相同，合并办理、分别回访。"
        )
        life.lead = main.lead
        life.act(life.someone(Role.DISPATCHER), intake.merge, order)
        main.children.append(life)
    else:
        yield from handling.dispatched(life)


# --- beside the main story -------------------------------------------------------------------------------------------


def _withdrawn(life: Life) -> Story:
    yield life.pace.within(life.at, 1, 4 if life.quick else 14)
    if life.state not in (State.ACCEPTED, State.DISPATCHED, State.HANDLING) or life.children:
        return
    agent: Actor = life.receiver or life.someone(Role.AGENT)
    life.chapter += 1
    life.act(agent, aftercare.withdraw, ReasonOrder(reason=life.phrase("withdraw_reasons")))
    life.begin(aftermath.archive(life))


def _handed_over(life: Life) -> Story:
    yield life.pace.within(life.at, 6, 40)
    others = [a for a in life.home.staff[Role.AGENT] if life.receiver and a.id != life.receiver.id]
    if life.state is State.ARCHIVED or not others:
        return
    heir = life.dice.choice(others)
    login = life.stage.logins[heir.id]
    order = HandOverOrder(to=login, reason=life.phrase("hand_over_reasons"))
    life.act(life.someone(Role.SUPERVISOR), aftercare.hand_over, order)
    life.receiver = heir


def _attached(life: Life) -> Story:
    yield life.at + life.pace.minutes(2, 25)
    if life.state is State.ARCHIVED:
        return
    agent = life.receiver or life.someone(Role.AGENT)
    if life.channel is Channel.PHONE and life.dice.random() < 0.3:
        order = AttachOrder(file_class=FileClass.RECORDING, name="通话录音.wav", recorded_at=life.visit.at)
        life.act(agent, aftercare.attach, order, corpus.recording_file(life.dice))
        return
    order = AttachOrder(file_class=FileClass.DEMAND, name="诉求补充说明.txt")
    life.act(agent, aftercare.attach, order, corpus.note_file(life.said.title, life.said.text))


__all__ = ["arrive"]
