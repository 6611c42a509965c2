"""The recorder page in a real browser: Chromium with a fake microphone, against a live service."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from cough.mediator import WHY
from cough.messages import RE_RECORD
from cough.screener import Outcome
from cough.wire import Metadata, Symptoms
from serving.routes.page import WEB
from tests.conftest import EXAMPLES
from tests.serving.conftest import quiet, serve
from training import synth
from training.codecs import Codec, encode

CATALOGUE = json.loads((WEB / "catalogue.json").read_text())


def test_the_languages_say_the_same() -> None:
    english, *others = CATALOGUE.values()
    assert others
    for other in others:
        assert english.keys() == other.keys()
        for key, text in english.items():
            names = re.findall(r"\{(\w+)\}", text)
            assert sorted(names) == sorted(re.findall(r"\{(\w+)\}", other[key])), key


@pytest.mark.parametrize("language", CATALOGUE)
def test_every_code_has_its_words(language: str) -> None:
    needed = [f"result.{outcome}.{part}" for outcome in get_args(Outcome) for part in ("title", "lead")]
    needed += [f"reason.{code}.{part}" for code in RE_RECORD for part in ("title", "do")]
    needed += [f"abstention.{code}" for code in WHY]
    needed += [f"symptom.{name}" for name in Symptoms.model_fields]
    assert set(needed) <= CATALOGUE[language].keys()


def test_no_text_is_missing_or_left_over() -> None:
    """Every text that the page names is there; every text is named, whole or as a template."""
    sources = "".join(path.read_text() for path in sorted(WEB.iterdir()) if path.suffix in (".js", ".html"))
    named = set(re.findall(r"data-t(?:-label)?=\"([\w.]+)\"", sources))
    named |= set(re.findall(r"texts\.(?:say|has)\(\"([\w.]+)\"", sources))
    assert named <= CATALOGUE["en"].keys()
    for key in CATALOGUE["en"]:
        parts = key.split(".")
        templates = [".".join([*parts[:n], "${"]) for n in range(1, len(parts))]
        counted = f'texts.count("{".".join(parts[:-1])}"'
        assert any(name in sources for name in (f'"{key}"', counted, *templates)) or key == "name", key


def test_the_page_names_no_other_host() -> None:
    for path in sorted(WEB.iterdir()):
        others = set(re.findall(r"\w+://[\w.]+", path.read_text())) - {"http://www.w3.org"}
        assert not others, path.name


def _browser_is_missing() -> str | None:
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed (extra: dev)"
    from tests.serving import page_driver

    return None if page_driver.CHROMIUM else "there is no chromium (Debian's package of that name)"


_missing = _browser_is_missing()
needs_browser = pytest.mark.skipif(_missing is not None, reason=_missing or "")

if _missing is None:
    from playwright.sync_api import Browser, Page, Route

    from tests.serving import page_driver as driver
    from tests.serving.page_driver import COUGH, DESKTOP, PHONE, SCREENINGS, STATES, visit

# What the browser itself reports of an answer that a state is about.
FAILED_LOAD = "Failed to load resource"
FAILING_STATES = {"sending", "unreadable", "offline", "key_needed"}


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("microphone") / "heard.wav"
    driver.microphone_hears(path, driver.coughs())
    return path


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Browser]:
    # Not for the session: while Playwright runs, no other test could run an event loop here.
    with driver.chromium(microphone) as browser:
        yield browser


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a service that is patient, for machines that do much else."""
    with serve(quiet(job_s=120.0, deadline_s=300.0)) as running:
        yield running.url


@pytest.fixture
def person(browser: Browser, url: str) -> Iterator[driver.Visit]:
    """Somebody with a desktop, whose browser must have nothing to complain of."""
    with visit(browser, url) as person:
        yield person
        assert person.complaints == []


def text(page: Page, selector: str) -> str:
    return page.locator(selector).inner_text()


@needs_browser
def test_ten_seconds_of_coughing_reach_a_verdict(person: driver.Visit) -> None:
    person.open().agree()
    with person.page.expect_request(SCREENINGS) as sent:
        person.record()
        levels = [person.page.locator("#meter").get_attribute("aria-valuenow")]
        person.page.wait_for_function("() => document.getElementById('seconds-left').textContent === '5'")
        levels.append(person.page.locator("#meter").get_attribute("aria-valuenow"))
    person.wait("result")
    assert levels[0] != levels[1], "the meter moves"
    assert re.fullmatch(r"[0-9a-f]{32}", sent.value.headers["idempotency-key"])
    assert person.page.locator("#verdict").get_attribute("data-outcome") == "inconclusive"
    assert re.search(r"in (9\.9|1\d\.\d) s", text(person.page, "#sound-summary"))  # longer on a busy machine
    assert person.page.locator(".cough").count() >= 5  # the microphone repeats three coughs in four seconds
    assert "COVID-19: No answer." in text(person.page, "#answer-list")
    assert text(person.page, "#answer-list").count("Not answered") == 2
    assert "not a diagnosis" in text(person.page, "#notice")


@needs_browser
def test_silence_is_asked_for_again_and_then_coughs_are_heard(person: driver.Visit, microphone: Path) -> None:
    driver.microphone_hears(microphone, np.zeros(32_000, np.float32))
    try:
        person.open().agree().record()
        person.page.locator("#level-hint", has_text="Nothing can be heard").wait_for()
        person.finish().wait("result")
        assert person.page.locator("#verdict").get_attribute("data-outcome") == "rerecord"
        assert "Check that this page may use the microphone" in text(person.page, "#blocking")
        assert not person.page.locator("#answers").is_visible()
    finally:
        driver.microphone_hears(microphone, driver.coughs())
    person.page.locator("#record-again").click()
    person.wait("recording").page.wait_for_timeout(3500)
    person.finish().wait("result")
    assert person.page.locator("#verdict").get_attribute("data-outcome") == "inconclusive"


@needs_browser
def test_the_page_is_used_by_keyboard_alone(person: driver.Visit) -> None:
    page = person.open().page
    focused = "() => document.activeElement.id"
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate(focused) == "consent"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # record, without consent
    assert page.evaluate(focused) == "consent"
    assert "agree first" in text(page, "#consent-missing")
    page.keyboard.press("Space")
    assert text(page, "#consent-missing") == ""
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    person.wait("recording")
    assert page.evaluate(focused) == "recording-title"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "cancel-recording"
    page.keyboard.press("Enter")
    person.wait("start")
    assert page.evaluate(focused) == "start-title"
    assert "Nothing was sent" in text(page, "#live")


@needs_browser
def test_a_file_is_drawn_and_its_coughs_are_played(person: driver.Visit) -> None:
    bout = synth.cough_bout(np.random.default_rng(10)).astype(np.float32)
    file = {
        "name": "bout.wav",
        "mimeType": "audio/wav",
        "buffer": encode(bout, Codec("wav", "pcm_s16le", 16_000)),
    }
    page = person.open().agree().choose(file).wait("result").page
    assert page.evaluate("() => document.activeElement.id") == "verdict-title"
    assert "3 coughs were heard in 6.0 s" in text(page, "#sound-summary")
    colours = """canvas => new Set(new Uint32Array(
        canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    assert page.locator("#spectrogram").evaluate(colours) > 50
    assert page.locator("#waveform").evaluate(colours) > 2
    page.get_by_role("button", name="Play cough 2, at 2.8 seconds").press("Enter")
    page.locator("#playhead").wait_for(state="visible")
    page.locator("#playhead").wait_for(state="hidden")
    page.locator("#play-all").click()
    page.get_by_role("button", name="Stop").click()
    page.locator("#playhead").wait_for(state="hidden")
    box = page.locator("#waveform").bounding_box()
    assert box is not None
    page.locator("#waveform").click(position={"x": box["width"] * 2.9 / 6, "y": 20})
    page.locator("#playhead").wait_for(state="visible")
    with page.expect_download() as download:
        page.locator("#numbers > summary").click()
        page.locator("#save").click()
    assert json.loads(download.value.path().read_text())["outcome"] == "inconclusive"


@needs_browser
def test_symptoms_are_sent_as_said_and_missing_ones_are_missing(person: driver.Visit) -> None:
    page = person.open().page
    page.locator("#symptoms > summary").click()
    page.locator("#age").fill("34")
    page.locator("#sex").select_option("female")
    page.get_by_role("group", name="Fever").get_by_label("Yes").check()
    page.get_by_role("group", name="Asthma").get_by_label("No", exact=True).check()
    assert page.locator("#symptoms-unused").is_hidden()
    page.evaluate("""() => {
        const send = fetch;
        window.fetch = (url, options) => send(url, options, (window.sent = options.body));
    }""")
    person.agree().choose(COUGH).wait("result")
    sent = json.loads(page.evaluate("() => window.sent.get('metadata')"))
    assert sent == {"age": 34, "sex": "female", "symptoms": {"fever": True, "asthma": False}}
    Metadata.model_validate(sent)
    assert "these answers alone give" in text(page, "#answer-list")
    assert "Fever: speaks for it" in text(page, "#answer-list")
    page.get_by_role("button", name="Clear all").click()
    page.get_by_role("button", name="Ask again with this").click()
    page.locator("#answer-list", has_text="these answers alone").wait_for(state="detached")
    person.wait("result")
    assert page.evaluate("() => window.sent.get('metadata')") is None


@needs_browser
def test_a_busy_service_is_asked_again_with_the_same_key(person: driver.Visit) -> None:
    keys = []

    def busy_once(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fulfill(status=503, headers={"Retry-After": "0"}, json={"code": "overloaded"})
        elif len(keys) == 2:
            route.abort("connectionreset")
        else:
            route.continue_()

    person.page.route(SCREENINGS, busy_once)
    person.open().agree().choose(COUGH).wait("result")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert all(FAILED_LOAD in complaint for complaint in person.complaints)
    person.complaints.clear()


@needs_browser
def test_a_service_that_is_gone_loses_no_recording(browser: Browser, url: str) -> None:
    with visit(browser, url) as person:
        driver.offline(person)
        assert "cannot be reached" in text(person.page, "#problem")
        person.page.unroute(SCREENINGS)
        person.page.locator("#send-again").click()
        person.wait("result")
        assert all(FAILED_LOAD in complaint for complaint in person.complaints)


@needs_browser
def test_a_refused_microphone_is_explained(browser: Browser, url: str) -> None:
    with visit(browser, url, microphone=False) as person:
        driver.refused(person)
        assert "not allowed" in text(person.page, "#problem-title")
        assert "browser's settings" in text(person.page, "#problem-do")
        assert person.page.locator("#choose-after-problem").is_visible()
        assert person.complaints == []


def guarded(route: Route) -> None:
    """As a service whose only key is ``secret``."""
    if route.request.headers.get("authorization") == "Bearer secret":
        route.continue_()
    else:
        route.fulfill(status=401, json={"code": "unauthorized", "status": 401})


@needs_browser
def test_a_service_with_keys_is_given_one(browser: Browser, url: str) -> None:
    with visit(browser, url) as person:
        person.page.route("**/v1/**", guarded)
        person.open().agree().choose(COUGH).wait("problem")
        person.page.locator("#key").fill("secret")
        person.page.get_by_role("button", name="Use key").click()
        person.wait("result")


@needs_browser
def test_a_cancelled_upload_is_not_sent_after_all(person: driver.Visit) -> None:
    sent = []
    person.page.route(SCREENINGS, lambda route: sent.append(route))  # never answered
    person.open().page.locator("#symptoms > summary").click()
    person.agree().choose(COUGH).wait("sending")
    person.page.locator("#cancel-sending").click()
    person.wait("start")
    person.page.locator("#age").fill("41")
    person.page.locator("#age").press("Enter")
    person.page.wait_for_timeout(300)
    assert len(sent) == 1
    assert person.page.locator("#start").is_visible()
    assert all(FAILED_LOAD in complaint for complaint in person.complaints)
    person.complaints.clear()


@needs_browser
def test_a_key_that_no_header_can_hold_is_asked_for_again(browser: Browser, url: str) -> None:
    with visit(browser, url) as person:
        person.page.route("**/v1/**", guarded)
        person.open().agree().choose(COUGH).wait("problem")
        person.page.locator("#key").fill("cough_abc\N{ZERO WIDTH SPACE}")
        person.page.get_by_role("button", name="Use key").click()
        person.page.locator("#key").wait_for()
        person.page.wait_for_timeout(300)
        assert person.page.locator("#key-form").is_visible()


@needs_browser
def test_a_complaint_goes_with_what_it_is_about(person: driver.Visit) -> None:
    page = person.open().agree().page
    page.locator("#symptoms > summary").click()
    page.locator("#age").fill("abc")
    page.locator("#record").click()
    assert page.locator("#age").get_attribute("aria-invalid") == "true"
    page.get_by_role("button", name="Clear all").click()
    assert page.locator("#age").get_attribute("aria-invalid") == "false"
    assert text(page, "#age-wrong") == ""


@needs_browser
def test_a_file_chosen_while_the_microphone_is_asked_for_is_all_that_is_sent(person: driver.Visit) -> None:
    page = person.open().agree().page
    page.evaluate("""() => {
        const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            await new Promise((resolve) => (window.allow = resolve));
            window.opened = await open(wanted);
            return window.opened;
        };
    }""")
    page.locator("#record").click()
    person.choose(COUGH).wait("result")
    page.evaluate("() => window.allow()")
    page.wait_for_function("() => window.opened?.getTracks().every((track) => track.readyState === 'ended')")
    assert page.locator("#result").is_visible()


@needs_browser
def test_german_is_chosen_by_the_browser_or_the_person(browser: Browser, url: str) -> None:
    with visit(browser, url, language="de-AT", size=PHONE) as person:
        page = person.open().page
        assert text(page, "#start-title") == "Nehmen Sie Ihren Husten auf"
        person.agree().choose(COUGH).wait("result")
        assert "6,0 s" in text(page, "#sound-summary")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
        page.get_by_label("Sprache").select_option("en")
        assert text(page, "#verdict-title") == "No answer"
        assert page.locator("html").get_attribute("lang") == "en"
        assert person.complaints == []


@needs_browser
@pytest.mark.parametrize("state", STATES if _missing is None else [])
def test_every_state_is_accessible_and_fits(browser: Browser, url: str, state: str) -> None:
    """axe finds nothing in either theme, and a phone of 360 px need not scroll sideways in any language."""
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"size": PHONE, "bypass_csp": True}  # for axe's own script alone
    with visit(browser, url, microphone=state != "refused", **options) as person:
        STATES[state](person)
        for theme in ("light", "dark"):
            person.page.emulate_media(color_scheme=theme)
            found = Axe().run(person.page)
            assert found.violations_count == 0, found.generate_report()
        for language, size in itertools.product(CATALOGUE, (PHONE, DESKTOP)):
            person.page.locator("#language").select_option(language)
            person.page.set_viewport_size(size)
            wide = person.page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= size["width"], language
        loads = [c for c in person.complaints if FAILED_LOAD in c]
        assert person.complaints == (loads if state in FAILING_STATES else [])


def test_the_documentation_needs_no_other_host(browser: Browser, url: str) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/docs")
    page.wait_for_selector(".opblock")
    assert "/v1/screenings" in page.inner_text("main")
    assert not complaints
    assert all(address.startswith((url, "data:")) for address in asked)
    page.close()


def test_the_javascript_client_of_the_documentation_works_as_written(browser: Browser, url: str) -> None:
    text = (Path(__file__).resolve().parents[2] / "serving" / "README.md").read_text()
    (code,) = re.findall(r"^```js\n(.*?)^```", text, re.M | re.S)
    recording = (EXAMPLES / "synthetic_cough.m4a").read_bytes()
    page = browser.new_page()
    page.goto(url)
    call = f"""async (bytes) => {{
        {code}
        const good = await screen(new Blob([new Uint8Array(bytes)]));
        const bad = await screen(new Blob(["no audio"])).catch((problem) => problem);
        return [good.outcome, bad.code];
    }}"""
    assert page.evaluate(call, list(recording)) == ["inconclusive", "not_audio"]
    dropped: list[str] = []

    def lose_the_first(route: Any) -> None:
        dropped.append(route.request.headers["idempotency-key"])
        if len(dropped) == 1:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/v1/screenings", lose_the_first)
    call = f"async (bytes) => {{ {code} return (await screen(new Blob([new Uint8Array(bytes)]))).outcome; }}"
    assert page.evaluate(call, list(recording)) == "inconclusive"
    assert len(dropped) == 2
    assert len(set(dropped)) == 1
    page.close()
