"""What the process and its machine are asked, without the database: settings, keys, disk, fonts."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hotline.health.findings import Finding, fault, fine, warning
from hotline.printing.fonts import FontsMissing, chinese_fonts
from hotline.settings import Settings

_LITTLE: Final = 10 * 2**30
_TOO_LITTLE: Final = 2**30
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def look(settings: Settings) -> Iterator[Finding]:
    """Every check of the machine, one after the other."""
    yield from _settings(settings)
    yield _keys(settings)
    yield _disk(settings.data_dir)
    yield _fonts(settings)


def _settings(settings: Settings) -> Iterator[Finding]:
    check = "配置"
    wanting = list(_wanting(settings))
    yield from wanting
    if not wanting:
        yield fine(check, f"数据目录 {settings.data_dir}")


def _wanting(settings: Settings) -> Iterator[Finding]:
    check = "配置"
    if settings.host not in _LOOPBACK and settings.public_url is None:
        yield warning(
            check,
            f"服务监听 {settings.host}，但未设置对外地址。",
            "设置 HOTLINE_PUBLIC_URL=https://…：登录凭证据此只经加密连接发送，来电人查询链接也据此生成。",
        )
    if settings.public_url is not None and not settings.public_url.startswith("https://"):
        yield warning(
            check, "对外地址不是 https。", "在反向代理上启用 TLS，并把 HOTLINE_PUBLIC_URL 改为 https://…。"
        )
    if settings.second_factor != "required":
        yield warning(
            check,
            "督办主管、管理员、审计员可以不绑定动态验证码。",
            "生产环境设置 HOTLINE_SECOND_FACTOR=required。",
        )


def _keys(settings: Settings) -> Finding:
    check = "密钥"
    files = (
        settings.keyring_file or settings.data_dir / "keyring.json",
        settings.signing_key_file or settings.data_dir / "signing.key",
    )
    present = [path for path in files if path.exists()]
    loose = [path for path in present if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if loose:
        named = "、".join(str(path) for path in loose)
        return fault(
            check,
            f"密钥文件可被其他用户读取：{named}",
            f"执行 chmod 600 {' '.join(map(str, loose))}，并考虑用 hotline keys rotate 更换密钥。",
        )
    if not present:
        return warning(
            check,
            "还没有密钥文件。",
            "首次启动 hotline serve 时自动生成；此后请把它与数据库分开备份，丢失则来电人信息无法解密。",
        )
    return fine(check, f"{len(present)} 个密钥文件，仅本用户可读")


def _disk(folder: Path) -> Finding:
    check = "磁盘"
    there = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(there)
    told = f"{folder} 所在磁盘剩余 {usage.free / 2**30:.1f} GiB（共 {usage.total / 2**30:.0f} GiB）"
    if usage.free < _TOO_LITTLE:
        return fault(check, told, "立即清理或扩容：磁盘写满后工单无法保存。")
    if usage.free < _LITTLE:
        return warning(check, told, "尽快扩容，或把附件目录移到更大的磁盘。")
    return fine(check, told)


def _fonts(settings: Settings) -> Finding:
    check = "字体"
    try:
        found = chinese_fonts(settings.font_dir)
    except FontsMissing as missing:
        return warning(check, "没有可用于打印的中文字体，报告和督办函无法生成 PDF。", str(missing))
    return fine(check, f"正文 {found.fang}，标题 {found.song}、{found.hei}")
