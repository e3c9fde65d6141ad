"""GRANTS: which roles and which token scope each operation is open to. What has no row is open to nobody.

A row speaks of roles only; which tickets somebody sees is `hotline.access.visible_to`, which move is legal `workflow.lifecycle`.
"""

from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI

from api.routes import operations
from hotline.access import OPENS, Actor
from hotline.exporting.exports import ASKERS
from knowledge_base.articles import CHECKERS, WRITERS
from knowledge_base.lifecycle import BY_ROUTE, roles_of
from workflow.errors import AccessRefused, ActNotGranted, RuleBroken
from workflow.lifecycle import MOVES
from workflow.vocabulary import PLATFORM_STAFF, STAFF, UNIT_STAFF, Act, Role, Scope

R = Role


@dataclass(frozen=True, slots=True)
class Grant:
    """One operation's row. `unfinished`: open also to a session that still owes a new password or a second factor.

    `act` names the act, so that a refusal names the roles that may.
    """

    roles: frozenset[Role]
    scope: Scope
    unfinished: bool = False
    act: Act | None = None


PUBLIC: Final = frozenset(
    {"sign_in", "sign_in_options", "oidc_begin", "oidc_finish", "issue_client_token"}
    | {"citizen_page", "evaluate", "appeal"}
    | {"report_texts"}
)
"""Operations that need no credentials: they are how one gets them, open to whoever holds a ticket's link, or signed by the gateway."""

READERS: Final = STAFF - {R.ADMIN}
"""Who reads tickets: an administrator manages people and machines, not business data (三员分立)."""


def _of_act(act: Act) -> frozenset[Role]:
    return frozenset[Role]().union(*(move.roles for move in MOVES if move.act is act)) & STAFF


def _intake() -> frozenset[Role]:
    return frozenset[Role]().union(*(move.roles for move in MOVES if None in move.sources)) & STAFF


GRANTS: Final[dict[str, Grant]] = {
    # session
    "me": Grant(STAFF, Scope.REFERENCE, unfinished=True),
    "read_session": Grant(STAFF, Scope.SESSION, unfinished=True),
    "sign_out": Grant(STAFF, Scope.SESSION, unfinished=True),
    "change_password": Grant(STAFF, Scope.SESSION, unfinished=True),
    "give_code": Grant(STAFF, Scope.SESSION, unfinished=True),
    "enrol_totp": Grant(STAFF, Scope.SESSION, unfinished=True),
    "confirm_totp": Grant(STAFF, Scope.SESSION, unfinished=True),
    "list_sessions": Grant(STAFF, Scope.SESSION),
    "end_session": Grant(STAFF, Scope.SESSION),
    # people, machines, structure
    "list_people": Grant(frozenset({R.ADMIN, R.AUDITOR, R.UNIT_LEAD}), Scope.ACCOUNTS),
    "read_person": Grant(frozenset({R.ADMIN, R.AUDITOR, R.UNIT_LEAD}), Scope.ACCOUNTS),
    "colleagues": Grant(PLATFORM_STAFF | {R.ADMIN, R.UNIT_LEAD}, Scope.ACCOUNTS),
    "create_person": Grant(frozenset({R.ADMIN, R.UNIT_LEAD}), Scope.ACCOUNTS),
    **{
        name: Grant(frozenset({R.ADMIN}), Scope.ACCOUNTS)
        for name in (
            "change_person",
            "grant_roles",
            "disable_person",
            "enable_person",
            "unlock_person",
            "reset_password",
            "reset_second_factor",
            "transfer_tickets",
            "create_client",
            "rotate_client",
            "revoke_client",
            "add_unit",
            "change_unit",
            "add_platform",
            "change_platform",
        )
    },
    "list_clients": Grant(frozenset({R.ADMIN, R.AUDITOR}), Scope.ACCOUNTS),
    "list_tokens": Grant(STAFF, Scope.ACCOUNTS),
    "issue_token": Grant(STAFF, Scope.ACCOUNTS),
    "revoke_token": Grant(STAFF, Scope.ACCOUNTS),
    "list_platforms": Grant(STAFF, Scope.REFERENCE),
    # reference
    "vocabulary": Grant(STAFF, Scope.REFERENCE),
    "statute": Grant(STAFF, Scope.REFERENCE),
    "due": Grant(STAFF, Scope.REFERENCE),
    "areas": Grant(STAFF, Scope.REFERENCE),
    "categories": Grant(STAFF, Scope.REFERENCE),
    "units": Grant(STAFF, Scope.REFERENCE),
    "calendar": Grant(STAFF, Scope.REFERENCE),
    "load_notice": Grant(frozenset({R.ADMIN, R.SUPERVISOR}), Scope.SUPERVISION),
    "set_local_days": Grant(frozenset({R.ADMIN, R.SUPERVISOR}), Scope.SUPERVISION),
    # tickets
    "take": Grant(_intake(), Scope.TICKETS_WRITE),
    "list_tickets": Grant(READERS, Scope.TICKETS_READ),
    "get_ticket": Grant(READERS, Scope.TICKETS_READ),
    "timeline": Grant(READERS, Scope.TICKETS_READ),
    "certificate": Grant(READERS, Scope.TICKETS_READ),
    "download": Grant(READERS, Scope.FILES),
    # callers' data
    "unseal": Grant(frozenset(OPENS), Scope.CALLERS),
    "read_unsealing": Grant(frozenset(OPENS), Scope.CALLERS),
    "search_caller": Grant(frozenset(OPENS) & PLATFORM_STAFF, Scope.CALLERS),
    **{
        act.value: Grant(_of_act(act), Scope.FILES if act is Act.ATTACH else Scope.TICKETS_WRITE, act=act)
        for act in Act
        if act is not Act.REGISTER
    },
    "similar_tickets": Grant(frozenset({R.AGENT, R.DISPATCHER, R.SUPERVISOR}), Scope.TICKETS_READ),
    "citizen_link": Grant(frozenset({R.AGENT, R.DISPATCHER, R.CALLBACK, R.SUPERVISOR}), Scope.TICKETS_READ),
    "suggest_units": Grant(frozenset({R.AGENT, R.DISPATCHER, R.SUPERVISOR}), Scope.TICKETS_READ),
    # desks
    "list_queues": Grant(READERS, Scope.TICKETS_READ),
    **{
        name: Grant(STAFF, Scope.SESSION)
        for name in (
            *("list_filters", "save_filter", "change_filter", "remove_filter"),
            *("list_drafts", "read_draft", "save_draft", "discard_draft"),
        )
    },
    # dispatch catalogue
    "list_catalogue": Grant(STAFF, Scope.REFERENCE),
    "export_catalogue": Grant(STAFF, Scope.REFERENCE),
    **{
        name: Grant(frozenset({R.DISPATCHER, R.SUPERVISOR, R.ADMIN}), Scope.ACCOUNTS)
        for name in ("put_duty", "close_duty", "import_catalogue")
    },
    # calls
    "report_call": Grant(frozenset({R.AGENT}), Scope.TELEPHONY),
    "current_call": Grant(frozenset({R.AGENT}), Scope.TELEPHONY),
    "take_seat": Grant(frozenset({R.AGENT}), Scope.TELEPHONY),
    # knowledge
    "list_articles": Grant(STAFF, Scope.KNOWLEDGE),
    "read_article": Grant(STAFF, Scope.KNOWLEDGE),
    "article_versions": Grant(STAFF, Scope.KNOWLEDGE),
    "article_diff": Grant(STAFF, Scope.KNOWLEDGE),
    "download_of_article": Grant(STAFF, Scope.KNOWLEDGE),
    "export_knowledge": Grant(STAFF, Scope.KNOWLEDGE),
    "knowledge_changes": Grant(STAFF, Scope.KNOWLEDGE),
    "write_article": Grant(WRITERS, Scope.KNOWLEDGE),
    "revise_article": Grant(WRITERS, Scope.KNOWLEDGE),
    "preview_article": Grant(WRITERS, Scope.KNOWLEDGE),
    "attach_to_article": Grant(WRITERS, Scope.KNOWLEDGE),
    "import_knowledge": Grant(WRITERS, Scope.KNOWLEDGE),
    **{f"{step.value}_article": Grant(roles_of(step), Scope.KNOWLEDGE) for step in BY_ROUTE},
    "step_articles": Grant(WRITERS, Scope.KNOWLEDGE),
    "receive_knowledge": Grant(CHECKERS, Scope.KNOWLEDGE),
    "list_peers": Grant(frozenset({R.ADMIN, R.SUPERVISOR, R.AUDITOR}), Scope.KNOWLEDGE),
    "add_peer": Grant(frozenset({R.ADMIN}), Scope.KNOWLEDGE),
    "switch_peer": Grant(frozenset({R.ADMIN}), Scope.KNOWLEDGE),
    # using knowledge
    "search_knowledge": Grant(STAFF, Scope.KNOWLEDGE),
    "report_miss": Grant(STAFF, Scope.KNOWLEDGE),
    "open_article": Grant(STAFF, Scope.KNOWLEDGE),
    "tell_article": Grant(frozenset({R.AGENT, R.DISPATCHER, R.SUPERVISOR}), Scope.TICKETS_WRITE),
    "list_recalls": Grant(frozenset({R.AGENT, R.CALLBACK, R.SUPERVISOR, R.EDITOR}), Scope.KNOWLEDGE),
    "settle_recall": Grant(frozenset({R.AGENT, R.CALLBACK, R.SUPERVISOR, R.EDITOR}), Scope.TICKETS_WRITE),
    "knowledge_duties": Grant(UNIT_STAFF | {R.EDITOR, R.SUPERVISOR}, Scope.KNOWLEDGE),
    "propose_draft": Grant(UNIT_STAFF | {R.EDITOR, R.SUPERVISOR}, Scope.KNOWLEDGE),
    "submit_knowledge": Grant(UNIT_STAFF, Scope.TICKETS_WRITE),
    "list_questions": Grant(UNIT_STAFF | {R.AGENT, R.EDITOR, R.SUPERVISOR}, Scope.KNOWLEDGE),
    "ask_unit": Grant(frozenset({R.AGENT, R.EDITOR, R.SUPERVISOR}), Scope.KNOWLEDGE),
    "answer_question": Grant(UNIT_STAFF, Scope.KNOWLEDGE),
    "adopt_answer": Grant(UNIT_STAFF | {R.EDITOR, R.SUPERVISOR}, Scope.KNOWLEDGE),
    "close_question": Grant(frozenset({R.AGENT, R.EDITOR, R.SUPERVISOR}), Scope.KNOWLEDGE),
    "knowledge_upkeep": Grant(UNIT_STAFF | {R.EDITOR, R.SUPERVISOR}, Scope.KNOWLEDGE),
    "settle_pair": Grant(UNIT_STAFF | {R.EDITOR, R.SUPERVISOR}, Scope.KNOWLEDGE),
    "settle_miss": Grant(frozenset({R.EDITOR, R.SUPERVISOR}), Scope.KNOWLEDGE),
    # events out, batches in
    **{
        name: Grant(frozenset({R.ADMIN, R.UNIT_LEAD}), Scope.ACCOUNTS)
        for name in (
            "list_subscriptions",
            "add_subscription",
            "change_subscription",
            "turn_subscription",
            "rotate_subscription",
            "test_subscription",
            "list_deliveries",
            "read_delivery",
            "replay_delivery",
            "replay_range",
            # notices to whoever has no system
            *("list_contacts", "add_contact", "change_contact", "remove_contact", "test_contact"),
            *("read_notifying", "list_notifications", "read_notification", "retry_notification"),
        )
    },
    "pull_events": Grant(READERS, Scope.TICKETS_READ),
    "live": Grant(READERS, Scope.TICKETS_READ),
    "say_presence": Grant(READERS, Scope.TICKETS_READ),
    "batch": Grant(
        UNIT_STAFF | {R.AGENT, R.DISPATCHER, R.REVIEWER, R.CALLBACK, R.SUPERVISOR}, Scope.TICKETS_WRITE
    ),
    # supervision
    "board": Grant(frozenset({R.SUPERVISOR, R.DISPATCHER, R.AUDITOR}), Scope.SUPERVISION),
    "list_reminders": Grant(PLATFORM_STAFF | UNIT_STAFF | {R.AUDITOR}, Scope.SUPERVISION),
    "list_notices": Grant(PLATFORM_STAFF | UNIT_STAFF | {R.AUDITOR}, Scope.SUPERVISION),
    "answer_notice": Grant(UNIT_STAFF, Scope.SUPERVISION),
    "list_emergencies": Grant(PLATFORM_STAFF | UNIT_STAFF | {R.AUDITOR}, Scope.SUPERVISION),
    "issue_letters": Grant(frozenset({R.SUPERVISOR}), Scope.SUPERVISION),
    "list_letters": Grant(UNIT_STAFF | {R.SUPERVISOR, R.AUDITOR}, Scope.SUPERVISION),
    "print_letter": Grant(UNIT_STAFF | {R.SUPERVISOR, R.AUDITOR}, Scope.SUPERVISION),
    # figures and reports
    "list_indicators": Grant(UNIT_STAFF | {R.SUPERVISOR, R.AUDITOR}, Scope.REPORTS),
    "read_figures": Grant(UNIT_STAFF | {R.SUPERVISOR, R.AUDITOR}, Scope.REPORTS),
    "indicator_tickets": Grant(UNIT_STAFF | {R.SUPERVISOR, R.AUDITOR}, Scope.REPORTS),
    **{
        name: Grant(frozenset({R.SUPERVISOR, R.AUDITOR}), Scope.REPORTS)
        for name in ("list_report_views", "list_reports", "read_report", "diff_report", "download_report")
    },
    **{
        name: Grant(frozenset({R.SUPERVISOR}), Scope.REPORTS)
        for name in (
            *("save_report_view", "draft_report", "review_report", "strike_case"),
            "cover_words",
            *("file_report", "restate_report"),
        )
    },
    # assessment
    **{
        name: Grant(UNIT_STAFF | {R.SUPERVISOR, R.AUDITOR}, Scope.REPORTS)
        for name in ("read_indicator_system", "list_assessments", "read_assessment", "list_exclusions")
    },
    "apply_exclusion": Grant(UNIT_STAFF | {R.SUPERVISOR}, Scope.REPORTS),
    "revoke_exclusion": Grant(UNIT_STAFF | {R.SUPERVISOR}, Scope.REPORTS),
    "appeal_assessment": Grant(frozenset({R.UNIT_LEAD}), Scope.REPORTS),
    **{
        name: Grant(frozenset({R.SUPERVISOR}), Scope.REPORTS)
        for name in (
            *("save_indicator_system", "draft_assessment", "compute_assessment", "publish_assessment"),
            *("finalise_assessment", "decide_assessment_appeal", "decide_exclusion", "draw_sample"),
            *("enter_points", "confirm_points"),
        )
    },
    "list_points": Grant(frozenset({R.SUPERVISOR, R.AUDITOR}), Scope.REPORTS),
    "list_samples": Grant(frozenset({R.SUPERVISOR, R.REVIEWER, R.AUDITOR}), Scope.REPORTS),
    "read_sample": Grant(frozenset({R.SUPERVISOR, R.REVIEWER, R.AUDITOR}), Scope.REPORTS),
    "record_finding": Grant(frozenset({R.SUPERVISOR, R.REVIEWER}), Scope.REPORTS),
    # hot spots
    **{
        name: Grant(frozenset({R.SUPERVISOR, R.AUDITOR}), Scope.REPORTS)
        for name in ("list_hotspots", "read_hotspots", "hotspot_tickets", "read_seasons")
    },
    "find_hotspots": Grant(frozenset({R.SUPERVISOR}), Scope.REPORTS),
    # audit, exports, retention
    "list_audit": Grant(frozenset({R.AUDITOR}), Scope.AUDIT),
    "list_alerts": Grant(frozenset({R.AUDITOR}), Scope.AUDIT),
    "conclude_alert": Grant(frozenset({R.AUDITOR}), Scope.AUDIT),
    "ticket_reads": Grant(frozenset({R.AUDITOR, R.SUPERVISOR}), Scope.AUDIT),
    "list_recordings": Grant(frozenset({R.AUDITOR, R.SUPERVISOR}), Scope.AUDIT),
    "ask_export": Grant(ASKERS, Scope.EXPORTS),
    "list_exports": Grant(ASKERS, Scope.EXPORTS),
    "get_export": Grant(ASKERS, Scope.EXPORTS),
    "download_export": Grant(ASKERS, Scope.EXPORTS),
    "approve_export": Grant(frozenset({R.SUPERVISOR}), Scope.EXPORTS),
    "refuse_export": Grant(frozenset({R.SUPERVISOR}), Scope.EXPORTS),
    "declare_emergency": Grant(frozenset({R.SUPERVISOR}), Scope.SUPERVISION),
    "end_emergency": Grant(frozenset({R.SUPERVISOR}), Scope.SUPERVISION),
}


class Unfinished(RuleBroken):
    """The session still owes a new password, its second factor or the enrolment of one; `extra.owed` says which."""

    code = "sign_in_unfinished"


_OWED: Final = {
    "new_password": "请先修改初始口令或已到期的口令。",
    "second_factor": "请先输入动态验证码完成登录。",
    "enrolment": "您的角色须使用动态验证码，请先绑定。",
}


def open_to(actor: Actor) -> list[str]:
    """The operations whose row is open to this actor, in order of name: what a page may offer at all."""
    return sorted(
        operation
        for operation, grant in GRANTS.items()
        if actor.roles & grant.roles and (actor.scopes is None or grant.scope in actor.scopes)
    )


def check(operation: str, actor: Actor, owed: str | None) -> None:
    """Raises `Unfinished`, `ActNotGranted` or `AccessRefused` unless `operation` is open to this actor: default deny."""
    grant = GRANTS.get(operation)
    if grant is None:
        raise AccessRefused("该操作未开放。")
    if owed is not None and not grant.unfinished:
        raise Unfinished(_OWED[owed], extra={"owed": owed})
    if not actor.roles & grant.roles:
        if grant.act is not None:
            raise ActNotGranted(grant.act, grant.roles)
        names = "、".join(role.label for role in Role if role in grant.roles)
        raise AccessRefused(f"您的角色不能进行该操作，该操作由{names}进行。")
    if actor.scopes is not None and grant.scope not in actor.scopes:
        raise AccessRefused(
            f"该令牌的范围不含“{grant.scope.label}”（{grant.scope.value}）。",
            extra={"scope": grant.scope.value},
        )


def check_complete(app: FastAPI) -> None:
    """Refuse to start with an operation nobody decided about, or a row for none. Raises `LookupError` naming them."""
    known = set(GRANTS) | PUBLIC
    found = {each.id for each in operations(app)}
    if found - known:
        raise LookupError(f"operations without a grant: {sorted(found - known)}")
    if set(GRANTS) - found:
        raise LookupError(f"grants without an operation: {sorted(set(GRANTS) - found)}")
