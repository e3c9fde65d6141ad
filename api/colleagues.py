"""同事 over HTTP: who somebody means when a form asks for a person, by name, pinyin or login; no more of them than is said aloud."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.lookups import Limit
from api.names import MOST_TYPED, Named, found
from api.problems import PROBLEMS
from api.wiring import ReadDep
from hotline.fields import Code
from hotline.people import personnel
from workflow.vocabulary import Role

router = APIRouter(prefix="/api/v1", tags=["人员管理"], responses=PROBLEMS)

MOST_LOOKED_THROUGH: Final = 3000
"""People weighed for one look; who administers more types a login."""


class ColleagueView(BaseModel):
    """Somebody at work within reach."""

    login: str
    name: str
    roles: list[Role]
    unit: str | None = Field(description="承办单位代码；热线平台人员为空")


@router.get("/colleagues", summary="查找同事", operation_id="colleagues", response_model=list[ColleagueView])
def colleagues(
    edge: ReadDep,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=MOST_TYPED,
            description="姓名、全拼、简拼或登录名，可以只是一部分",
            examples=["csjia"],
        ),
    ],
    role: Annotated[Role | None, Query(description="只要有这个角色的")] = None,
    unit: Annotated[Code | None, Query(description="只要这个承办单位的（管理员）")] = None,
    limit: Limit = 20,
) -> list[ColleagueView]:
    """People at work: of one's own unit, of the platforms one works for, for an administrator also those of their units."""
    people = personnel.colleagues(edge.session, edge.actor, role=role, unit=unit, most=MOST_LOOKED_THROUGH)
    by_login = {each.person.login: each for each in people}
    meant = found(
        q, (Named(login, (each.person.name,), loose=True) for login, each in by_login.items()), limit
    )
    return [
        ColleagueView(
            login=each.person.login, name=each.person.name, roles=sorted(each.person.roles), unit=each.unit
        )
        for each in (by_login[name.code] for name in meant)
    ]
