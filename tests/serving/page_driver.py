"""A person at the recorder page: Debian's Chromium with a microphone that plays a file.

python -m tests.serving.page_driver FOLDER      # a screenshot of every state, for people to look at
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from cough.screener import Screener, ScreeningResult
from tests.conftest import EXAMPLES
from tests.cough.test_audio import wav
from training import synth

CHROMIUM = shutil.which("chromium")
COUGH = EXAMPLES / "synthetic_cough.m4a"
SILENCE = {"name": "silence.wav", "mimeType": "audio/wav", "buffer": wav(np.zeros(4 * 16_000, np.float32))}
NOT_AUDIO = {"name": "letter.wav", "mimeType": "audio/wav", "buffer": b"Dear all, this is no sound. " * 40}
SCREENINGS = "**/v1/screenings"

PATIENCE_MS = 120_000
"""For machines that do much else; where nothing else runs, a state takes a second."""

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 860}


def microphone_hears(path: Path, samples: np.ndarray) -> None:
    """What the microphone gives from when it is next opened, over and over."""
    path.write_bytes(wav(samples))


def coughs() -> np.ndarray:
    """Three synthetic coughs in four seconds."""
    return synth.cough_bout(np.random.default_rng(7), duration_s=4.0).astype(np.float32)


@contextmanager
def chromium(microphone: Path) -> Iterator[Browser]:
    """The browser. Every context but those that are refused may use the microphone."""
    switches = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=switches)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One visit to the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        """What the browser logged as errors: scripts, content policy, failed loads."""
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self) -> Visit:
        self.page.goto(self.url)
        self.page.wait_for_selector("#page:not([hidden])")
        return self

    def agree(self) -> Visit:
        self.page.locator("#consent").check()
        return self

    def choose(self, file: Any) -> Visit:
        """Choose a file: a path, or Playwright's payload."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("#choose").click()
        chooser.value.set_files(file)
        return self

    def record(self) -> Visit:
        """Begin to record."""
        self.page.locator("#record").click()
        return self.wait("recording")

    def finish(self) -> Visit:
        """End the recording, unless its ten seconds are over."""
        self.page.locator("#finish").dispatch_event("click")
        return self

    def wait(self, view: str) -> Visit:
        self.page.wait_for_selector(f"#{view}:not([hidden])")
        return self

    def answers(self, change: Callable[[dict[str, Any]], None]) -> Visit:
        """From now on, the answer is the one to ``COUGH``, changed but valid."""
        answer = json.loads(_answer_to_cough())
        change(answer)
        ScreeningResult.model_validate(answer)
        self.page.route(SCREENINGS, lambda route: route.fulfill(json=answer))
        return self


@cache
def _answer_to_cough() -> str:
    return Screener().screen(COUGH).model_dump_json()


@contextmanager
def visit(
    browser: Browser,
    url: str,
    *,
    theme: str = "light",
    size: dict[str, int] = DESKTOP,
    language: str = "en-GB",
    microphone: bool = True,
    **options: Any,
) -> Iterator[Visit]:
    """A visit by somebody new."""
    context: BrowserContext = browser.new_context(
        color_scheme=theme,
        viewport=size,
        locale=language,
        permissions=["microphone"] if microphone else [],
        **options,
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        yield Visit(context.new_page(), url)
    finally:
        context.close()


def make_screened(answer: dict[str, Any]) -> None:
    """As from a bundle whose evidence carries an answer, which the shipped one's does not."""
    condition = answer["conditions"][0]
    condition.update(answer="negative", probability=0.12, prediction_set=["negative"], abstained_because=[])
    answer["outcome"] = "screened"


def make_rerecord(answer: dict[str, Any]) -> None:
    """Two reasons that block and one that does not, beside coughs that were heard."""
    codes = {"too_short": True, "too_noisy": True, "clipped": False}
    answer["outcome"] = "rerecord"
    answer["conditions"] = []
    answer["reasons"] = [
        {"code": code, "blocking": blocking, "message": code, "value": 0.0, "limit": 1.0}
        for code, blocking in codes.items()
    ]


# --- The states that the page can be in, and how it gets there.


def empty(visit: Visit) -> None:
    visit.open()


def consent_missing(visit: Visit) -> None:
    visit.open().page.locator("#record").click()


def recording(visit: Visit) -> None:
    visit.open().agree().record()
    visit.page.wait_for_timeout(1500)


def sending(visit: Visit) -> None:
    def busy(route: Route) -> None:
        headers = {"Retry-After": "15", "Content-Type": "application/problem+json"}
        route.fulfill(status=503, headers=headers, body='{"code": "overloaded", "status": 503}')

    visit.page.route(SCREENINGS, busy)
    visit.open().agree().choose(COUGH)
    visit.page.locator("#sending-text", has_text="15").wait_for()


def inconclusive(visit: Visit) -> None:
    visit.open().agree().choose(COUGH).wait("result")


def numbers(visit: Visit) -> None:
    inconclusive(visit)
    visit.page.locator("#numbers > summary").click()


def screened(visit: Visit) -> None:
    visit.answers(make_screened).open().agree().choose(COUGH).wait("result")


def rerecord(visit: Visit) -> None:
    visit.open().agree().choose(SILENCE).wait("result")


def rerecord_with_coughs(visit: Visit) -> None:
    visit.answers(make_rerecord).open().agree().choose(COUGH).wait("result")


def undrawable(visit: Visit) -> None:
    visit.open().agree().choose(EXAMPLES / "synthetic_cough_telephone.amr").wait("result")


def symptoms(visit: Visit) -> None:
    visit.open().page.locator("#symptoms > summary").click()
    visit.page.wait_for_selector("#symptoms[open]")
    visit.page.locator("#symptom-list fieldset").nth(0).get_by_label("Yes").check()
    visit.page.locator("#age").fill("140")
    visit.page.locator("#consent").check()
    visit.page.locator("#record").click()


def unreadable(visit: Visit) -> None:
    visit.open().agree().choose(NOT_AUDIO).wait("problem")


def refused(visit: Visit) -> None:
    visit.open().agree()
    visit.page.locator("#record").click()
    visit.wait("problem")


def offline(visit: Visit) -> None:
    visit.page.clock.install()
    visit.open().agree()
    visit.page.route(SCREENINGS, lambda route: route.abort("connectionrefused"))
    visit.choose(COUGH)
    for attempt in (2, 3, 4):
        visit.page.locator("#sending-text", has_text=f"({attempt} ").wait_for()
        visit.page.clock.fast_forward(20_000)
    visit.wait("problem")


def key_needed(visit: Visit) -> None:
    body = '{"code": "unauthorized", "status": 401, "detail": "", "request_id": "3f2a"}'
    visit.page.route("**/v1/**", lambda route: route.fulfill(status=401, body=body))
    visit.open().agree().choose(COUGH).wait("problem")


STATES: dict[str, Callable[[Visit], None]] = {
    state.__name__: state
    for state in (
        *(empty, consent_missing, symptoms, recording, sending),
        *(inconclusive, numbers, screened, rerecord, rerecord_with_coughs, undrawable),
        *(unreadable, refused, offline, key_needed),
    )
}


def main() -> None:
    """Photograph every state in both themes, on a phone and on a desktop."""
    from tests.serving.conftest import quiet, serve

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="states, themes or sizes, as a regular expression")
    parser.add_argument("--language", default="en-GB")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    heard = given.folder / "microphone.wav"
    microphone_hears(heard, coughs())
    with serve(quiet()) as running, chromium(heard) as browser:
        for name, state in STATES.items():
            for size_name, size in {"phone": PHONE, "desktop": DESKTOP}.items():
                for theme in ("light", "dark"):
                    shot = f"{name}-{size_name}-{theme}"
                    if not re.search(given.only, shot):
                        continue
                    allowed = name != "refused"
                    options = {"theme": theme, "size": size, "language": given.language}
                    with visit(browser, running.url, microphone=allowed, **options) as person:
                        state(person)
                        person.page.wait_for_timeout(200)
                        person.page.screenshot(path=given.folder / f"{shot}.png", full_page=True)
                        print(shot, person.complaints)


if __name__ == "__main__":
    main()
