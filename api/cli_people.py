"""`hotline user`, `hotline client`, `hotline token`, `hotline platform`: people and machines, from the command line of the operator."""

from typing import Annotated, Any

import typer

from api.cli_output import AsJson, say
from workflow.vocabulary import Level, Role, Scope

user_app = typer.Typer(help="人员：新增、授权、停用、口令。首个管理员在这里建立。", no_args_is_help=True)
client_app = typer.Typer(help="接口客户端（OAuth 2.0 客户端凭据）。", no_args_is_help=True)
token_app = typer.Typer(help="个人访问令牌。", no_args_is_help=True)
platform_app = typer.Typer(help="热线平台。", no_args_is_help=True)

Login = Annotated[str, typer.Argument(help="登录名。")]
Client = Annotated[str, typer.Argument(help="客户端标识。")]
Reason = Annotated[str, typer.Option(help="事由，记入审计。")]
PlatformOption = Annotated[str | None, typer.Option("--platform", help="热线平台代码，如 01。")]
UnitOption = Annotated[str | None, typer.Option("--unit", help="承办单位代码。")]


def _people(as_json: bool, rows: list[dict[str, Any]]) -> None:
    lines = [
        f"{row['login']:<24}{row['platform']:<4}{row['unit'] or '-':<14}{'、'.join(row['roles'])}"
        f"{'' if row['active'] else '  已停用'}{'  已锁定' if row['locked_until'] else ''}  {row['name']}"
        for row in rows
    ]
    say(as_json, rows, "\n".join(lines) or "没有符合条件的人员。")


# --- people ----------------------------------------------------------------------------------------------------------


@user_app.command("create")
def user_create(
    login: Login,
    name: Annotated[str, typer.Option(help="姓名。")],
    role: Annotated[list[Role], typer.Option(help="角色，可多次给出。")],
    platform: PlatformOption = None,
    unit: UnitOption = None,
    as_json: AsJson = False,
) -> None:
    """新增人员，打印一次性口令；首次登录须修改。"""
    from api import operations_people

    password = operations_people.create_user(login, name, role, platform, unit)
    say(
        as_json,
        {"login": login, "one_time_password": password},
        f"已新增 {login}，一次性口令（只显示这一次，首次登录须修改）：{password}",
    )


@user_app.command("password")
def user_password(login: Login, reason: Reason = "命令行重置", as_json: AsJson = False) -> None:
    """重置口令，打印一次性口令；其登录会话全部结束，锁定解除。"""
    from api import operations_people

    password = operations_people.reset_password(login, reason)
    say(
        as_json,
        {"login": login, "one_time_password": password},
        f"{login} 的一次性口令（只显示这一次，首次登录须修改）：{password}",
    )


@user_app.command("disable")
def user_disable(
    login: Login,
    reason: Reason = "命令行停用",
    transfer_to: Annotated[
        str | None, typer.Option("--transfer-to", help="接手其未归档工单的话务员。")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """停用人员：会话结束、令牌撤销；仍有未归档工单的须指明接手人。"""
    from api import operations_people

    numbers = operations_people.disable_user(login, reason, transfer_to)
    say(as_json, {"login": login, "transferred": numbers}, f"已停用 {login}，移交 {len(numbers)} 件工单。")


@user_app.command("enable")
def user_enable(login: Login, reason: Reason = "命令行启用", as_json: AsJson = False) -> None:
    """启用已停用的人员。"""
    from api import operations_people

    operations_people.enable_user(login, reason)
    say(as_json, {"login": login, "active": True}, f"已启用 {login}。")


@user_app.command("grant")
def user_grant(
    login: Login,
    role: Annotated[list[Role], typer.Option(help="授予的全部角色，可多次给出。")],
    as_json: AsJson = False,
) -> None:
    """重新授予角色：此后只有这里给出的角色。"""
    from api import operations_people

    roles = operations_people.grant_roles(login, role)
    say(as_json, {"login": login, "roles": roles}, f"{login} 的角色：{'、'.join(roles)}")


@user_app.command("unlock")
def user_unlock(login: Login, reason: Reason = "命令行解锁", as_json: AsJson = False) -> None:
    """解除因多次登录失败的锁定。"""
    from api import operations_people

    operations_people.unlock_user(login, reason)
    say(as_json, {"login": login, "unlocked": True}, f"已解除 {login} 的锁定。")


@user_app.command("reset-second-factor")
def user_reset_second_factor(login: Login, reason: Reason = "命令行重置", as_json: AsJson = False) -> None:
    """重置第二因素（手机遗失）：动态验证码和恢复码作废，须重新绑定。"""
    from api import operations_people

    operations_people.reset_second_factor(login, reason)
    say(as_json, {"login": login, "reset": True}, f"已重置 {login} 的第二因素。")


@user_app.command("list")
def user_list(
    platform: PlatformOption = None,
    unit: UnitOption = None,
    role: Annotated[Role | None, typer.Option(help="角色。")] = None,
    text: Annotated[str | None, typer.Option(help="登录名或姓名包含的文字。")] = None,
    as_json: AsJson = False,
) -> None:
    """列出人员。"""
    from api import operations_people

    _people(as_json, operations_people.list_users(platform, unit, role, text))


# --- machines --------------------------------------------------------------------------------------------------------


@client_app.command("create")
def client_create(
    name: Client,
    label: Annotated[str, typer.Option(help="名称，如 某局业务系统。")],
    role: Annotated[list[Role], typer.Option(help="角色，可多次给出。")],
    scope: Annotated[list[Scope], typer.Option(help="令牌范围，可多次给出。")],
    platform: PlatformOption = None,
    unit: UnitOption = None,
    as_json: AsJson = False,
) -> None:
    """新增接口客户端，打印密钥（只显示这一次）。"""
    from api import operations_people

    secret = operations_people.create_client(name, label, role, scope, platform, unit)
    say(
        as_json,
        {"client_id": name, "client_secret": secret},
        f"client_id：{name}\nclient_secret（只显示这一次）：{secret}",
    )


@client_app.command("rotate")
def client_rotate(
    name: Client,
    overlap_hours: Annotated[int, typer.Option(min=0, max=168, help="旧密钥还可使用的小时数。")] = 24,
    as_json: AsJson = False,
) -> None:
    """更换密钥，打印新密钥；旧密钥在重叠期内仍可用。"""
    from api import operations_people

    secret = operations_people.rotate_client(name, overlap_hours)
    say(as_json, {"client_id": name, "client_secret": secret}, f"client_secret（只显示这一次）：{secret}")


@client_app.command("revoke")
def client_revoke(name: Client, as_json: AsJson = False) -> None:
    """停用接口客户端，其令牌立即失效。"""
    from api import operations_people

    operations_people.revoke_client(name)
    say(as_json, {"client_id": name, "revoked": True}, f"已停用 {name}。")


@client_app.command("list")
def client_list(as_json: AsJson = False) -> None:
    """列出接口客户端。"""
    from api import operations_people

    rows = operations_people.list_clients()
    lines = [
        f"{row['name']:<30}{row['platform'] or row['unit']:<14}{' '.join(row['scopes'])}"
        f"{'  已停用' if row['revoked_at'] else ''}  {row['label']}"
        for row in rows
    ]
    say(as_json, rows, "\n".join(lines) or "没有接口客户端。")


@token_app.command("issue")
def token_issue(
    login: Login,
    scope: Annotated[list[Scope] | None, typer.Option(help="令牌范围，可多次给出；缺省不限。")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="有效天数；缺省不过期。")] = None,
    label: Annotated[str, typer.Option(help="用途。")] = "命令行签发",
    as_json: AsJson = False,
) -> None:
    """为一个人员签发新的访问令牌；令牌只显示这一次。"""
    from api import operations_people

    token = operations_people.issue_token(login, label, scope, days)
    say(as_json, {"login": login, "token": token}, token)


@token_app.command("list")
def token_list(login: Login, as_json: AsJson = False) -> None:
    """列出一个人员有效的访问令牌（不显示令牌本身）。"""
    from api import operations_people

    rows = operations_people.list_tokens(login)
    lines = [
        f"{row['id']:<10}{row['created_at']:%Y-%m-%d}  {'到期 ' + format(row['expires_at'], '%Y-%m-%d') if row['expires_at'] else '不过期'}"
        f"  {' '.join(row['scopes']) if row['scopes'] is not None else '不限'}  {row['label']}"
        for row in rows
    ]
    say(as_json, rows, "\n".join(lines) or "没有有效的访问令牌。")


@token_app.command("revoke")
def token_revoke(
    login: Login,
    token: Annotated[int, typer.Argument(help="令牌编号，见 hotline token list。")],
    as_json: AsJson = False,
) -> None:
    """撤销一个访问令牌。"""
    from api import operations_people

    operations_people.revoke_token(login, token)
    say(as_json, {"login": login, "token": token, "revoked": True}, f"已撤销 {login} 的令牌 {token}。")


# --- platforms -------------------------------------------------------------------------------------------------------


@platform_app.command("add")
def platform_add(
    code: Annotated[str, typer.Argument(help="两位数字的平台代码，省平台为 00。")],
    name: Annotated[str, typer.Option(help="名称。")],
    area: Annotated[str, typer.Option(help="行政区划代码，12 位。")],
    short_name: Annotated[str | None, typer.Option("--short-name", help="简称；缺省同名称。")] = None,
    level: Annotated[Level, typer.Option(help="层级。")] = Level.PROVINCE,
    parent: Annotated[str | None, typer.Option(help="上级平台代码；省平台没有。")] = None,
    as_json: AsJson = False,
) -> None:
    """新增热线平台：新装系统先建省平台，再建首个管理员。"""
    from api import operations_people

    operations_people.add_platform(code, name, short_name or name, level, area, parent)
    say(as_json, {"code": code, "name": name}, f"已新增热线平台 {code} {name}。")


@platform_app.command("list")
def platform_list(as_json: AsJson = False) -> None:
    """列出热线平台。"""
    from api import operations_people

    rows = operations_people.list_platforms()
    lines = [f"{row['code']}  {row['kind']:<12}{row['parent'] or '-':<4}{row['name']}" for row in rows]
    say(as_json, rows, "\n".join(lines) or "还没有热线平台，请先 hotline platform add。")
