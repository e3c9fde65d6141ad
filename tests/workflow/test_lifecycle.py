"""The table of moves: complete, reachable, consistent, and the one machine that drives it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import product

import pytest

from hotline.exchange import outbox
from workflow.errors import ActNotGranted, IllegalMove
from workflow.lifecycle import GUARDS, MOVES, TERMINAL, Facts, Move, article_of, fire, open_acts
from workflow.statute import articles
from workflow.vocabulary import VOCABULARY, Act, Role, State

EVERYBODY = frozenset(Role)
ROWS = [
    pytest.param(m, id=f"{n}-{m.act.value}-{m.to.value if m.to else 'same'}") for n, m in enumerate(MOVES)
]


def facts_for(move: Move, **more: bool) -> Facts:
    """Facts under which every guard of the row holds."""
    return replace(Facts(), **dict.fromkeys(move.when, True), **dict.fromkeys(move.unless, False), **more)


@pytest.mark.parametrize("act", list(Act))
def test_every_act_has_a_move_a_label_and_an_event(act: Act) -> None:
    assert any(move.act is act for move in MOVES)
    assert act.label
    assert not act.label.isascii()
    assert act in outbox.EVENTS


def test_event_names_are_distinct_past_facts() -> None:
    assert len(set(outbox.EVENTS.values())) == len(Act)
    assert all(name.count(".") == 1 for name in outbox.EVENTS.values())


def test_every_act_has_one_route() -> None:
    from api.acts import ACT_ROUTES

    routed = [route.act for route in ACT_ROUTES]
    assert len(routed) == len(set(routed))
    assert set(Act) - set(routed) == {Act.REGISTER, Act.ATTACH}  # POST /tickets and POST …/attachments


def test_every_route_s_example_is_a_valid_order() -> None:
    from api.acts import ACT_ROUTES

    for route in ACT_ROUTES:
        route.order.model_validate(route.example)


@pytest.mark.parametrize("words", VOCABULARY, ids=lambda words: words.__name__)
def test_labels_are_given_and_distinct(words: type[Act]) -> None:
    labels = [member.label for member in words]
    assert all(labels)
    assert len(set(labels)) == len(labels)


def test_every_state_is_reachable_from_nothing() -> None:
    seen: set[State | None] = {None}
    while True:
        found = {m.to for m in MOVES if m.to is not None and seen & set(m.sources)} - seen
        if not found:
            break
        seen |= found
    assert seen == {None, *State}


@pytest.mark.parametrize("state", [s for s in State if s not in TERMINAL])
def test_every_state_but_the_last_can_be_left(state: State) -> None:
    assert any(state in m.sources and m.to not in (None, state) for m in MOVES)


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_the_last_state_cannot_be_left(state: State) -> None:
    assert not any(state in m.sources and m.to is not None for m in MOVES)


@pytest.mark.parametrize("state", list(State))
def test_the_archive_is_within_reach_of_every_state(state: State) -> None:
    seen = {state}
    while found := {m.to for m in MOVES if m.to is not None and seen & set(m.sources)} - seen:
        seen |= found
    assert State.ARCHIVED in seen


@pytest.mark.parametrize("move", ROWS)
def test_a_row_cites_an_article_that_exists_and_guards_that_exist(move: Move) -> None:
    assert move.article in articles()
    assert {*move.when, *move.unless} <= GUARDS
    assert move.roles
    assert move.sources
    assert len(set(move.sources)) == len(move.sources)


def test_guards_are_the_facts() -> None:
    assert {f.name for f in fields(Facts)} == GUARDS
    assert {*(g for m in MOVES for g in (*m.when, *m.unless))} == GUARDS


def test_rows_of_one_act_and_source_are_open_to_the_same_roles() -> None:
    roles: dict[tuple[Act, State | None], set[frozenset[Role]]] = {}
    for move in MOVES:
        for source in move.sources:
            roles.setdefault((move.act, source), set()).add(move.roles)
    assert {key: found for key, found in roles.items() if len(found) > 1} == {}


def test_no_row_is_wholly_hidden_behind_earlier_ones() -> None:
    for n, move in enumerate(MOVES):
        before = [m for m in MOVES[:n] if m.act is move.act]
        hiding = [m for m in before if set(m.when) <= set(move.when) and set(m.unless) <= set(move.unless)]
        assert set(move.sources) - {source for m in hiding for source in m.sources}, move


@pytest.mark.parametrize("move", ROWS)
def test_firing_a_row_from_each_source_ends_where_the_table_says(move: Move) -> None:
    for source in move.sources:
        after = fire(source, move.act, facts_for(move), EVERYBODY)
        targets = {m.to or source for m in MOVES if m.act is move.act and source in m.sources}
        assert after in targets
        first = next(
            m for m in MOVES if m.act is move.act and source in m.sources and _holds(m, facts_for(move))
        )
        assert after is (first.to or source)


def _holds(move: Move, facts: Facts) -> bool:
    return all(getattr(facts, g) for g in move.when) and not any(getattr(facts, g) for g in move.unless)


def test_no_act_from_any_state_under_any_facts_leads_out_of_the_table() -> None:
    names = sorted(GUARDS)
    for act, state in product(Act, (None, *State)):
        rows = [m for m in MOVES if m.act is act and state in m.sources]
        used = sorted({g for m in rows for g in (*m.when, *m.unless)})
        assert set(used) <= set(names)
        for values in product((False, True), repeat=len(used)):
            facts = replace(Facts(), **dict(zip(used, values, strict=True)))
            legal = [m for m in rows if _holds(m, facts)]
            if not legal:
                with pytest.raises(IllegalMove):
                    fire(state, act, facts, EVERYBODY)
            elif (to := legal[0].to or state) is not None:
                assert fire(state, act, facts, EVERYBODY) is to


def test_a_failed_condition_is_an_error_and_not_silence() -> None:
    with pytest.raises(IllegalMove) as caught:
        fire(State.PENDING_DECISION, Act.DECIDE, Facts(), EVERYBODY)
    assert Act.DECIDE.value not in caught.value.extra["open_acts"]
    with pytest.raises(IllegalMove):
        fire(State.ACCEPTED, Act.SIGN, Facts(by_lead=True), EVERYBODY)


def test_an_illegal_move_says_in_chinese_what_can_be_done() -> None:
    with pytest.raises(IllegalMove) as caught:
        fire(State.ARCHIVED, Act.DISPATCH, Facts(), EVERYBODY)
    assert caught.value.message.startswith("工单当前状态为“已归档”，不能进行“派单”")
    assert "完善知识库" in caught.value.message
    with pytest.raises(IllegalMove) as caught:
        fire(None, Act.REPLY, Facts(), EVERYBODY)
    assert caught.value.message.startswith("该诉求尚未登记")


def test_a_role_that_may_not_is_told_who_may() -> None:
    with pytest.raises(ActNotGranted) as caught:
        fire(State.REPLIED, Act.REVIEW_PASS, Facts(), frozenset({Role.HANDLER}))
    assert caught.value.message == "您的角色不能进行“认定通过”，该操作由审核员、督办主管进行。"
    assert caught.value.extra["roles"] == ["reviewer", "supervisor"]


def test_nobody_may_do_anything_without_a_role() -> None:
    for act, state in product(Act, (None, *State)):
        with pytest.raises((IllegalMove, ActNotGranted)):
            fire(state, act, Facts(), frozenset())
    assert all(open_acts(state, frozenset()) == () for state in State)


def test_open_acts_are_those_somebody_may_fire() -> None:
    for state, role in product((None, *State), Role):
        offered = open_acts(state, frozenset({role}))
        rows = {m.act for m in MOVES if state in m.sources and role in m.roles}
        assert set(offered) == rows
        assert len(set(offered)) == len(offered)


def test_the_article_of_an_act_is_the_first_row_s() -> None:
    assert article_of(Act.DISPATCH, State.ACCEPTED) == "14(3)"
    assert article_of(Act.REPORT_UP, None) == "12"
    assert article_of(Act.REPORT_UP, State.ACCEPTED) == "14(3)"
    with pytest.raises(IllegalMove):
        article_of(Act.DISPATCH, State.ARCHIVED)


def test_applicants_never_decide_on_their_own_extension_or_return() -> None:
    units = {Role.HANDLER, Role.UNIT_LEAD}
    deciding = {Act.APPROVE_EXTENSION, Act.REFUSE_EXTENSION, Act.UPHOLD_RETURN, Act.REJECT_RETURN}
    deciding |= {Act.REVIEW_PASS, Act.REVIEW_SEND_BACK, Act.UPHOLD_DISSATISFACTION, Act.ARCHIVE}
    assert not any(m.roles & units for m in MOVES if m.act in deciding)


def test_auditors_change_no_state() -> None:
    assert {m.act for m in MOVES if Role.AUDITOR in m.roles} == {Act.HOLD_RECORDING}


def test_the_shared_machine_serves_many_threads() -> None:
    jobs = [
        (source, move)
        for move in MOVES
        for source in move.sources
        if next(m for m in MOVES if m.act is move.act and source in m.sources and _holds(m, facts_for(move)))
    ]

    def check(job: tuple[State | None, Move]) -> bool:
        source, move = job
        first = next(
            m for m in MOVES if m.act is move.act and source in m.sources and _holds(m, facts_for(move))
        )
        return fire(source, move.act, facts_for(move), EVERYBODY) is (first.to or source)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, jobs * 20))
