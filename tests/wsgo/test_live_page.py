"""The live page in a real browser: against the real parts, and against a scripted socket for the rare cases."""

from __future__ import annotations

import re
import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.wsgo.live_page import CHROMIUM_ARGS, Script, Tab, open_scripted, publish, running_publisher, trades

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, WebSocketRoute

    from tests.conftest import StartWsgo
    from tests.support import NatsServer

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian package chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    try:
        tab = Tab(context.new_page())
        yield tab
        tab.check()
    finally:
        context.close()


@pytest.fixture
def script(tab: Tab) -> Script:
    return Script(tab.page)


def test_an_empty_market_says_what_to_check(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    assert script.requests("subscribe") == [{"channels": ["*.trade"]}]
    expect(tab.get("empty")).to_contain_text("Is the publisher running?")
    expect(tab.get("empty")).to_contain_text("Does this server see the stream?")
    script.trade("BTC", 97000.5)
    expect(tab.row("BTC").get_by_test_id("price")).to_contain_text("97,000.50")
    expect(tab.get("empty")).to_be_hidden()


def test_a_move_shows_as_an_arrow_too(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    price = tab.row("BTC").get_by_test_id("price")
    for value, shown in ((1.25, "1.2500"), (1.26, "1.2600▲"), (1.2, "1.2000▼")):
        script.trade("BTC", value)
        expect(price).to_have_text(shown)
    expect(tab.row("BTC").get_by_test_id("change")).to_have_text("▼\N{MINUS SIGN}1.50%")
    expect(tab.row("BTC").get_by_test_id("volume")).to_have_text("1.00M")


def test_a_burst_is_painted_once_a_frame_and_memory_is_bounded(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    script.trade("BTC", 1.5)
    expect(tab.row("BTC")).to_be_visible()
    tab.page.evaluate(
        """() => { window.painted = 0;
            const cell = document.querySelector('[data-token=BTC] [data-testid=price]');
            new MutationObserver(() => window.painted++).observe(cell, {subtree: true, childList: true});
            window.frames_seen = 0;
            const frame = () => { window.frames_seen++; requestAnimationFrame(frame); };
            requestAnimationFrame(frame); }"""
    )
    for i in range(2000):
        script.trade("BTC", 2 + i / 1000)
    expect(tab.get("total")).to_have_text("2,001")
    expect(tab.row("BTC").get_by_test_id("price")).to_contain_text("3.9990")
    painted, frames = tab.page.evaluate("[window.painted, window.frames_seen]")
    assert 1 <= painted <= frames + 1
    assert tab.get("log").locator("li").count() == 50
    assert tab.get("gaps").inner_text() == "0"


def test_latency_is_corrected_for_the_browser_clock(tab: Tab, script: Script) -> None:
    script.clock_ahead = -3_600_000
    open_scripted(tab)
    expect(tab.get("latency-max")).to_have_text("nothing to time")
    script.trade("BTC", 1.0)
    expect(tab.get("latency-max")).to_have_text(re.compile(r"max [\d.,]+ ms"))


def test_a_duplicate_is_dropped_and_a_gap_is_counted_per_channel(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    channels = ("BTC.trade", "ETH.trade", "BTC.trade", "BTC.trade", "ETH.trade")
    first, other, _, after_gap, unbroken = (script.envelope(channel, {"price": 1}) for channel in channels)
    for text in (first, first, other, after_gap, unbroken):
        script.sockets[-1].send(text)
    expect(tab.get("total")).to_have_text("4")
    expect(tab.get("gaps")).to_have_text("1")
    expect(tab.get("duplicates")).to_have_text("1 duplicate")


def test_a_restart_is_resumed_from_the_last_sequence(tab: Tab, script: Script) -> None:
    open_scripted(tab, "?channels=BTC.trade,*.social")
    script.trade("BTC", 1.0)
    expect(tab.get("total")).to_have_text("1")
    script.resume_answer = {"epoch": "E1", "recovered": True, "replayed": 2}
    script.sockets[-1].close(code=1012, reason="restarting: reconnect within 400ms")
    expect(tab.get("resume")).to_have_text("recovered 2 messages")
    expect(tab.get("state")).to_have_text("Live")
    assert script.requests("resume") == [
        {"epoch": "E1", "since": 101, "channels": ["BTC.trade", "*.social"]},
    ]
    for price, age in ((2, 60_000), (3, 60_000), (4, 0)):
        script.age = age
        script.trade("BTC", price)
    expect(tab.get("total")).to_have_text("4")
    assert tab.get("gaps").inner_text() == "0"
    assert re.fullmatch(r"max [\d.,]+ ms", tab.get("latency-max").inner_text()), "what was replayed is not late"


@pytest.mark.parametrize(
    ("code", "reason", "seconds", "words"),
    [
        (1012, "restarting; reconnect within 40 s", 20, "The server is restarting"),
        (1001, "leaving: jitter 9000ms", 5, "The server is leaving"),
        (1013, "client limit", 5, "The server is over a limit"),
        (4000, "", 1, "Closed with code 4000"),
    ],
)
def test_the_wait_is_told_and_can_be_cut_short(
    tab: Tab, script: Script, *, code: int, reason: str, seconds: int, words: str
) -> None:
    tab.page.add_init_script("Math.random = () => 0.5")
    tab.page.clock.install()
    open_scripted(tab)
    tab.page.clock.pause_at(time.time() + 3600)
    script.sockets[-1].close(code=code, reason=reason)
    expect(tab.get("state")).to_have_text("Reconnecting")
    tab.page.clock.run_for(20)
    expect(tab.get("countdown")).to_have_text(f"in {seconds} s")
    expect(tab.get("detail")).to_have_text(f"{words}: {reason}".removesuffix(": "))
    tab.page.get_by_role("button", name="Retry now").click()
    expect(tab.get("state")).to_have_text("Live")


def test_a_server_that_fell_silent_is_left(tab: Tab, script: Script) -> None:
    tab.page.clock.install()
    open_scripted(tab)
    script.mute = True
    tab.page.clock.run_for(20_000)
    expect(tab.get("log")).to_contain_text('"type":"resume"')
    assert len(script.sockets) == 2


def test_a_recreated_stream_is_not_recovered_and_starts_anew(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    script.trade("BTC", 1.0)
    expect(tab.get("seq")).to_have_text("101")
    script.resume_answer = {"epoch": "E2", "recovered": False, "replayed": 0}
    script.seq, script.last = 0, {}
    script.sockets[-1].close(code=1001, reason="leaving; jitter 100ms")
    expect(tab.get("resume")).to_have_text("not recovered")
    expect(tab.get("resume-note")).to_have_text("the stream was recreated")
    script.trade("BTC", 2.0)
    expect(tab.get("seq")).to_have_text("1")
    assert tab.get("gaps").inner_text() == "0"


def test_pause_disconnects_and_resume_catches_up(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    tab.get("pause").click()
    expect(tab.get("state")).to_have_text("Paused")
    assert script.requests("resume") == []
    tab.get("pause").click()
    expect(tab.get("state")).to_have_text("Live")
    expect(tab.get("resume")).to_have_text("recovered 0 messages")


def test_payloads_are_shown_as_text_whatever_they_hold(tab: Tab, script: Script) -> None:
    open_scripted(tab, "?channels=>")
    evil = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    for data in ({"comment": evil, "deep": {"a": [1]}}, evil, None, 7, [evil], {"price": "NaN"}):
        script.sockets[-1].send(script.envelope("ODIN.social", data))
        script.sockets[-1].send(script.envelope("ODIN.trade", data))
    script.sockets[-1].send(script.envelope(f"{evil}.trade", {"price": 1}))
    script.sockets[-1].send("null")
    script.sockets[-1].send('{"type":"error","code":"' + evil.replace('"', "") + '","message":{}}')
    expect(tab.get("total")).to_have_text("13")
    expect(tab.get("feed").locator("li")).to_have_count(12)
    expect(tab.get("feed")).to_contain_text(evil)
    expect(tab.get("notice")).to_contain_text(evil)
    assert tab.page.locator("body img, body script").count() == 0


def test_the_log_shows_both_directions_and_can_be_paused(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    expect(tab.get("log")).to_contain_text(re.compile(r'subscription_ack.*{"type":"subscribe","data":{"channels":'))
    tab.get("quiet").check()
    script.trade("BTC", 1.0)
    expect(tab.get("total")).to_have_text("1")
    assert "BTC.trade" not in tab.get("log").inner_text()
    tab.get("log-pause").click()
    tab.get("subscribe-box").fill("PAUSED.trade")
    tab.get("subscribe").click()
    expect(tab.get("chips")).to_contain_text("PAUSED.trade")
    assert "PAUSED.trade" not in tab.get("log").inner_text()


def test_everything_is_reached_with_the_keyboard(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    script.trade("BTC", 1.0)
    expect(tab.row("BTC")).to_be_visible()
    reached = set()
    for _ in range(30):
        tab.page.keyboard.press("Tab")
        reached.add(tab.page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    names = {
        "pause",
        "theme",
        "Token",
        "Price",
        "channel",
        "Subscribe",
        "unsubscribe",
        "*.trade\N{MULTIPLICATION SIGN}",
        "log",
    }
    assert names <= reached
    tab.get("subscribe-box").focus()
    tab.page.keyboard.type("ETH.*, SOL.trade")
    tab.page.keyboard.press("Enter")
    expect(tab.get("chips").locator("button")).to_have_count(3)
    assert script.requests("subscribe")[-1] == {"channels": ["ETH.*", "SOL.trade"]}


def test_unsubscribing_takes_the_rows_away(tab: Tab, script: Script) -> None:
    open_scripted(tab, "?channels=BTC.trade,ETH.trade")
    script.trade("BTC", 1.0)
    script.trade("ETH", 1.0)
    expect(tab.row("ETH")).to_be_visible()
    tab.get("chips").get_by_text("ETH.trade").click()
    expect(tab.row("ETH")).to_have_count(0)
    expect(tab.row("BTC")).to_be_visible()
    assert script.requests("unsubscribe") == [{"channels": ["ETH.trade"]}]


def test_columns_sort(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    for token, price in (("BTC", 3), ("ADA", 1), ("ETH", 2)):
        script.trade(token, price)
    rows = tab.page.locator("tbody th")
    expect(rows).to_have_text(["ADA", "BTC", "ETH"])
    header = tab.page.get_by_role("button", name="Price")
    header.click()
    expect(rows).to_have_text(["BTC", "ETH", "ADA"])
    header.click()
    expect(rows).to_have_text(["ADA", "ETH", "BTC"])


def background(tab: Tab) -> str:
    return str(tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_theme_follows_the_system_until_chosen(tab: Tab, script: Script) -> None:
    open_scripted(tab)
    light = background(tab)
    tab.page.emulate_media(color_scheme="dark")
    dark = background(tab)
    assert light != dark
    expect(tab.get("theme")).to_have_text("Light")
    tab.get("theme").click()
    assert background(tab) == light
    open_scripted(tab)
    assert background(tab) == light, "the choice is remembered"
    assert len(script.sockets) == 2


def test_a_browser_without_storage_still_works(tab: Tab, script: Script) -> None:
    tab.page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied'); }})")
    open_scripted(tab)
    light = background(tab)
    tab.get("theme").click()
    assert background(tab) != light
    assert len(script.sockets) == 1


def test_a_phone_needs_no_sideways_scroll(tab: Tab, script: Script) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    open_scripted(tab, "?channels=>")
    script.trade("A" * 80, 1e300)
    script.trade("BTC", 97000.12)
    script.sockets[-1].send(script.envelope("BTC.social", {"text": "x" * 400}))
    expect(tab.get("total")).to_have_text("3")
    expect(tab.row("BTC").get_by_test_id("price")).to_be_visible()
    expect(tab.row("BTC").locator("canvas")).to_be_visible()
    assert not tab.scrolls_sideways()
    script.sockets[-1].close(code=1008, reason="too slow: " + "y" * 100)
    expect(tab.get("state")).to_have_text("Reconnecting")
    assert not tab.scrolls_sideways()


@pytest.fixture
def publisher(nats_server: NatsServer) -> Iterator[None]:
    with running_publisher(nats_server):
        yield


@pytest.mark.usefixtures("publisher")
def test_prices_of_the_real_publisher_appear_and_move(tab: Tab, wsgo_server: StartWsgo) -> None:
    server = wsgo_server()
    response = tab.page.goto(f"http://127.0.0.1:{server.port}/")
    assert response is not None
    assert "default-src 'none'" in response.headers["content-security-policy"]
    expect(tab.get("state")).to_have_text("Live")
    expect(tab.get("row")).to_have_count(10)
    price = tab.row("BTC").get_by_test_id("price")
    expect(price).to_have_attribute("data-move", re.compile("up|down"))
    shown = price.inner_text()
    expect(price).not_to_have_text(shown)
    expect(tab.get("latency")).to_contain_text("ms")
    expect(tab.get("rate")).not_to_have_text("0.0")
    assert tab.get("gaps").inner_text() == "0"
    assert tab.get("duplicates").inner_text() == "0 duplicates"
    tab.get("subscribe-box").fill(">")
    tab.get("subscribe").click()
    expect(tab.get("notice")).to_contain_text("Subscribed to >")
    expect(tab.get("feed").locator("li").first).to_be_visible()
    assert tab.get("gaps").inner_text() == "0"


def test_a_bad_channel_is_explained_by_the_real_server(
    tab: Tab, nats_server: NatsServer, wsgo_server: StartWsgo
) -> None:
    publish(nats_server)
    server = wsgo_server()
    tab.page.goto(f"http://127.0.0.1:{server.port}/?channels=bogus,*.trade")
    expect(tab.get("epoch")).not_to_have_text("\N{EN DASH}")
    expect(tab.get("chips").locator("button:not(.pending)")).to_have_text("*.trade\N{MULTIPLICATION SIGN}")
    tab.get("subscribe-box").fill("nonsense")
    tab.get("subscribe").click()
    expect(tab.get("notice")).to_have_text(re.compile(r"Not subscribed: .*nonsense.*\([A-Z_]+\)"))
    expect(tab.get("chips").locator("button")).to_have_count(1)
    tab.get("subscribe-box").fill("BTC.social")
    tab.get("subscribe").click()
    expect(tab.get("chips").locator("button")).to_have_count(2)
    publish(nats_server, ("BTC.social", {"tokenId": "BTC", "text": "holding"}))
    expect(tab.get("feed")).to_contain_text("BTC social text holding")
    tab.get("unsubscribe").click()
    expect(tab.get("chips").locator("button")).to_have_count(1)


def test_the_page_resumes_by_itself_when_the_server_was_killed(
    tab: Tab, nats_server: NatsServer, wsgo_server: StartWsgo
) -> None:
    publish(nats_server)
    server = wsgo_server()
    tab.page.goto(f"http://127.0.0.1:{server.port}/?channels=BTC.trade")
    expect(tab.get("chips").locator("button:not(.pending)")).to_have_count(1)
    publish(nats_server, *trades("BTC", 1, 2))
    expect(tab.get("total")).to_have_text("2")
    tab.server_may_be_away = True
    server.stop(signal.SIGKILL)
    expect(tab.get("state")).to_have_text("Reconnecting")
    publish(nats_server, *trades("BTC", 3, 4, 5), *trades("ETH", 6))
    server.start()
    expect(tab.get("state")).to_have_text("Live", timeout=30_000)
    expect(tab.get("resume")).to_have_text("recovered 3 messages")
    expect(tab.get("total")).to_have_text("5")
    publish(nats_server, *trades("BTC", 7))
    expect(tab.row("BTC").get_by_test_id("price")).to_contain_text("7.0000")
    assert tab.get("gaps").inner_text() == "0"
    assert tab.get("duplicates").inner_text() == "0 duplicates"
    expect(tab.row("ETH")).to_have_count(0)


def test_a_frame_lost_on_the_way_is_counted_as_a_gap(tab: Tab, nats_server: NatsServer, wsgo_server: StartWsgo) -> None:
    publish(nats_server)
    server = wsgo_server()

    def lose_the_second(socket: WebSocketRoute) -> None:
        upstream = socket.connect_to_server()
        upstream.on_message(lambda text: None if '"price":2}' in str(text).replace(" ", "") else socket.send(text))

    tab.page.route_web_socket(f"ws://127.0.0.1:{server.port}/ws", lose_the_second)
    tab.page.goto(f"http://127.0.0.1:{server.port}/")
    expect(tab.get("chips").locator("button:not(.pending)")).to_have_count(1)
    publish(nats_server, *trades("BTC", 1, 2, 3), *trades("ETH", 1, 3))
    expect(tab.get("total")).to_have_text("4")
    expect(tab.get("gaps")).to_have_text("1")
