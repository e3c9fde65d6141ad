"""Takes the pictures of docs/manual anew: a demo of its own, a real browser, each desk at its work.

python -m bench.shots [NAME...] [--home FOLDER] [--console ADDRESS]

The demo is filled in FOLDER (a temporary one unless told) and used again where it is
there already; everything on the pictures is invented. --console takes the pages from another address (Vite's dev server
whose HOTLINE_URL is port 18466). Pictures are 1366×768 (the citizen's page 390×844), with a palette, under 120 KB each.

Exits 1 where a page shows an error, lacks what it is to show, or a picture is too large.
"""

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "manual" / "images"
HOTLINE = Path(sys.executable).with_name("hotline")
PORT = 18466
TICKETS = 1500
SIZE = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
MOST_BYTES, MOST_TOGETHER = 120_000, 2_500_000


@dataclass
class Demo:
    """A running demo: its folder, its address, what it printed about its logins."""

    home: Path
    address: str
    pages: str
    said: str

    @property
    def password(self) -> str:
        """Everybody's."""
        return re.search(r"演示口令.*?：(\S+)", self.said)[1]  # type: ignore[index]

    def post(self, login: str, path: str, body: Any) -> Any:
        """POST with this person's demo token. Raises where it is refused."""
        token = re.search(rf"demo-{login}-[0-9a-f]+", self.said)[0]  # type: ignore[index]
        answer = httpx.post(
            f"{self.address}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": os.urandom(8).hex()},
        )
        answer.raise_for_status()
        return answer.json()

    def get(self, login: str, path: str) -> Any:
        """GET with this person's demo token."""
        token = re.search(rf"demo-{login}-[0-9a-f]+", self.said)[0]  # type: ignore[index]
        answer = httpx.get(f"{self.address}/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        return answer.json()

    def call(self, *arguments: str) -> None:
        """A call rings at an agent."""
        subprocess.run([HOTLINE, "call", *arguments], env=self.environment, check=True, capture_output=True)

    @property
    def environment(self) -> dict[str, str]:
        """The command's settings for this demo."""
        return os.environ | {
            "HOTLINE_DATA_DIR": str(self.home),
            "HOTLINE_SECOND_FACTOR": "offered",
            "HOTLINE_LOG_LEVEL": "ERROR",
        }


@contextmanager
def running(home: Path, console: str | None) -> Iterator[Demo]:
    """The demo in `home`, filled where it is not yet, and its server."""
    address = f"http://127.0.0.1:{PORT}"
    demo = Demo(home, address, console or address, "")
    printed = home / "printed.txt"
    if not printed.is_file():
        print(f"filling {TICKETS} tickets into {home} …")
        home.chmod(0o755)
        made = subprocess.run(
            [HOTLINE, "demo", "-y", "--tickets", str(TICKETS)],
            env=demo.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        printed.write_text(made.stdout + made.stderr)
    demo.said = printed.read_text()
    server = subprocess.Popen(
        [HOTLINE, "serve", "--port", str(PORT)], env=demo.environment, stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            try:
                httpx.get(f"{address}/healthz").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield demo
    finally:
        server.terminate()
        server.wait(30)
        subprocess.run([HOTLINE, "db", "stop"], env=demo.environment, check=False, capture_output=True)


# --- what each picture shows ---------------------------------------------------------------------------------------------


DEMANDS = (
    ("小区供暖管道漏水，楼道结冰", "西宁市城西区示例家园3号楼供暖管道漏水，楼道地面结冰，老人摔了一跤，请尽快维修。"),
    ("暖气不热，室温只有14度", "城西区示例花园2单元整栋暖气不热，室温只有14度，家里有刚出生的孩子，请尽快处理。"),
    ("夜间停暖三个小时", "示例小区每天夜里一点到四点停暖，早上室温不到15度，请核实。"),
)  # fmt: skip

QUESTION = "来电人问：职工医保个人账户里的钱能不能给父母用？父母在老家缴的居民医保，需要办什么手续。"


def heating(demo: Demo) -> str:
    """The code of a heating category, as the demo knows it."""
    for row in demo.get("xn-agent01", "/categories"):
        if row["name"] == "室温不达标":
            return str(row["code"])
    raise LookupError("室温不达标")


def to_dispatch(demo: Demo) -> None:
    """Some tickets that wait to be dispatched, and one return to judge."""
    if sum(1 for row in demo.get("xn-dispatcher01", "/tickets?queue=to_dispatch")["items"]) >= len(DEMANDS):
        return
    category = heating(demo)
    for n, (title, content) in enumerate(DEMANDS):
        demand = {
            "matter": "help",
            "channel": "phone",
            "category": category,
            "area": "630104000000",
            "title": title,
            "content": content,
            "caller": {"name": "测试甲", "phone": f"1390000{n:04d}"},
        }
        demo.post("xn-agent01", "/tickets", {"demand": demand, "decision": {"act": "accept"}})


def first(demo: Demo, login: str, query: str) -> str:
    """The number of the first ticket of a list."""
    return str(demo.get(login, f"/tickets?limit=1&{query}")["items"][0]["number"])


def agent(demo: Demo, page: Page) -> None:
    """A call with its form half filled, the answer found, the caller's earlier tickets and a likely duplicate beside it."""
    for draft in demo.get("xn-agent01", "/drafts"):
        demo.post("xn-agent01", f"/drafts/{draft['form']}/discard", {})
    demo.call("--agent", "xn-agent01", "--number", "13900000001", "--answered")
    page.goto("/console/agent")
    expect(page.get_by_text("139****0001").first).to_be_visible()
    page.get_by_role("textbox", name="诉求内容", exact=True).fill(QUESTION)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("1")
    page.keyboard.press("Tab")
    page.keyboard.type("grzh")
    page.keyboard.press("Tab")
    page.keyboard.type("cxq")
    page.keyboard.press("Tab")
    page.keyboard.insert_text("测试甲")
    expect(page.locator(".knowledge li").first).to_be_visible()
    expect(page.get_by_role("region", name="疑似重复")).to_be_visible()
    expect(page.get_by_role("region", name="来电人的工单")).to_be_visible()


def queues(_demo: Demo, page: Page) -> None:
    """All open tickets, two of them chosen."""
    page.goto("/console/tickets")
    expect(page.locator("[role=row]").nth(8)).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")


def working(path: str, queue: str = "") -> Callable[[Demo, Page], None]:
    """A working desk with a ticket at hand."""

    def shown(_demo: Demo, page: Page) -> None:
        page.goto(f"/console/{path}" + (f"?queue={queue}" if queue else ""))
        expect(page.locator(".work-list .pair")).to_be_visible()
        expect(page.locator(".work form").first).to_be_visible()

    return shown


def review(demo: Demo, page: Page) -> None:
    """The elements, one of them not met."""
    working("review", "to_review")(demo, page)
    page.keyboard.press("2")


def unit(demo: Demo, page: Page) -> None:
    """What a unit may do, and more time being asked for."""
    working("unit", "leading")(demo, page)
    tab = page.get_by_role("tab", name="申请延期")
    tab.click()
    expect(page.get_by_label("说明")).to_be_visible()


def board(_demo: Demo, page: Page) -> None:
    """The whole board."""
    page.goto("/console/board")
    expect(page.locator("canvas").nth(1)).to_be_visible()
    page.wait_for_timeout(1500)  # the charts draw themselves


def knowledge(_demo: Demo, page: Page) -> None:
    """A question found by its words."""
    page.goto("/console/knowledge/find")
    page.get_by_role("searchbox", name="检索知识").fill("医保怎么缴费")
    expect(page.locator(".found li mark").first).to_be_visible()
    expect(page.locator(".reading article, .reading section, .reading h1, .reading h2").first).to_be_visible()


def reports(_demo: Demo, page: Page) -> None:
    """The figures of the month before."""
    page.goto("/console/reports/figures")
    expect(page.locator("main .all")).to_be_visible()


def assessment(_demo: Demo, page: Page) -> None:
    """Letters to the units that are late."""
    page.goto("/console/assessment/letters")
    issue = page.get_by_role("region", name="批量督办")
    expect(issue).to_be_visible()
    page.wait_for_timeout(1500)
    if page.get_by_text("还没有督办函").is_visible():
        issue.locator("button[type=submit]").click()
    expect(page.locator("main tbody tr").first).to_be_visible(timeout=20_000)


def admin(_demo: Demo, page: Page) -> None:
    """The people of the platform."""
    page.goto("/console/admin/people")
    expect(page.locator("tbody tr").nth(5)).to_be_visible()


def calendar(_demo: Demo, page: Page) -> None:
    """The calendar's years."""
    page.goto("/console/admin/calendar")
    expect(page.get_by_text("已公布放假安排的年份")).to_be_visible()


def ticket(demo: Demo, page: Page) -> None:
    """A ticket that a unit is handling."""
    page.goto(f"/console/tickets/{first(demo, 'xn-supervisor01', 'state=handling&matter=help')}")
    expect(page.get_by_role("heading", name="诉求", exact=True)).to_be_visible()


def certificate(demo: Demo, page: Page) -> None:
    """Why it is due on that day."""
    ticket(demo, page)
    page.get_by_role("button", name="为什么是这一天？").first.click()
    expect(page.get_by_text("届满：").first).to_be_visible()


def tour(_demo: Demo, page: Page) -> None:
    """The beginning of the tour."""
    page.goto("/console/agent")
    page.keyboard.press("?")
    page.get_by_role("textbox", name="诉求内容", exact=True).blur()
    page.locator(".bar .help").click()
    page.get_by_role("button", name="看本页的引导").click()
    page.get_by_role("button", name="下一步").click()
    page.get_by_role("button", name="下一步").click()
    page.get_by_role("button", name="下一步").click()


def citizen(demo: Demo, page: Page) -> None:
    """What the citizen sees of an answered demand."""
    number = first(demo, "xn-supervisor01", "state=verified")
    link = demo.post("xn-supervisor01", f"/tickets/{number}/link", {})["url"]
    page.goto(re.sub(r"^https?://[^/]+", "", link))
    expect(page.locator(".card").nth(1)).to_be_visible()


SHOTS: dict[str, tuple[str, Callable[[Demo, Page], None]]] = {
    "agent": ("xn-agent01", agent),
    "queues": ("xn-dispatcher01", queues),
    "dispatch": ("xn-dispatcher01", working("dispatch", "to_dispatch")),
    "review": ("xn-reviewer01", review),
    "callback": ("xn-callback01", working("callback", "to_call_back")),
    "unit": ("xn-rsj-handler01", unit),
    "board": ("xn-supervisor01", board),
    "knowledge": ("xn-editor01", knowledge),
    "reports": ("xn-supervisor01", reports),
    "assessment": ("xn-supervisor01", assessment),
    "admin": ("qh-admin01", admin),
    "calendar": ("qh-admin01", calendar),
    "ticket": ("xn-supervisor01", ticket),
    "certificate": ("xn-supervisor01", certificate),
    "tour": ("xn-agent02", tour),
    "citizen": ("", citizen),
}


# --- taking them ---------------------------------------------------------------------------------------------------------


def signed_in(browser: Browser, demo: Demo, login: str) -> Page:
    """A window of this person, or, without a login, a citizen's phone."""
    context = browser.new_context(
        base_url=demo.pages,
        locale="zh-CN",
        timezone_id="Asia/Shanghai",
        viewport=SIZE if login else PHONE,  # type: ignore[arg-type]
    )
    kept = f"try {{ localStorage.setItem('hotline-toured:{login}', 'shots') }} catch {{}}"
    context.add_init_script(kept)
    page = context.new_page()
    if login:
        page.goto("/console/sign-in")
        page.fill("input[name=login]", login)
        page.fill("input[name=password]", demo.password)
        page.click("form button:has-text('登录')")
        page.wait_for_selector("nav.menu")
    return page


def kept(picture: bytes, name: str) -> int:
    """The picture with a palette, in the manual's folder; its size in bytes."""
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    file = IMAGES / f"{name}.png"
    for colours in (256, 160, 96, 64):
        whole.quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size <= MOST_BYTES:
            break
    return file.stat().st_size


def take(browser: Browser, demo: Demo, name: str) -> list[str]:
    """One picture; what is wrong with it."""
    login, shown = SHOTS[name]
    page = signed_in(browser, demo, login)
    page.set_default_timeout(20_000)
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    shown(demo, page)
    page.wait_for_timeout(700)
    alerts = [one.strip() for one in page.locator("[role=alert]:visible").all_inner_texts()]
    failed += [f"shows «{alert[:80]}»" for alert in alerts if alert and "来电" not in alert]
    size = kept(page.screenshot(), name)
    if size > MOST_BYTES:
        failed.append(f"{size} bytes")
    page.context.close()
    print(f"{name:12} {size / 1000:6.0f} KB  {'; '.join(failed)}")
    return failed


def main() -> int:
    """Take all, or those named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *SHOTS], help="these only")
    parser.add_argument("--home", type=Path, help="the demo's folder, kept")
    parser.add_argument("--console", help="where the pages are, if not the demo's own server")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hotline-shots-") as scratch:
        home = (options.home or Path(scratch)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        with running(home, options.console) as demo, sync_playwright() as playwright:
            to_dispatch(demo)
            browser = playwright.chromium.launch(
                executable_path=which("chromium") or which("google-chrome"),
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            failed = [fault for name in options.names or SHOTS for fault in take(browser, demo, name)]
            browser.close()
    together = sum(file.stat().st_size for file in IMAGES.glob("*.png"))
    print(f"together {together / 1000:.0f} KB")
    return 1 if failed or together > MOST_TOGETHER else 0


if __name__ == "__main__":
    sys.exit(main())
