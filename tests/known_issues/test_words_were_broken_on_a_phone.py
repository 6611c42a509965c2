"""Long German words in the table of numbers were broken in two, without a hyphen, at 360 px."""

from __future__ import annotations

from tests.serving import test_page
from tests.serving.test_page import browser as browser
from tests.serving.test_page import microphone as microphone
from tests.serving.test_page import needs_browser
from tests.serving.test_page import url as url

BROKEN = """() => [...document.querySelectorAll("#number-tables th")].flatMap((th) => {
  const text = th.firstChild;
  return [...text.data.matchAll(/\\p{L}+/gu)].filter(({ index, 0: word }) => {
    const range = document.createRange();
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    return range.getClientRects().length > 1;
  }).map(([word]) => word);
})"""


@needs_browser
def test_no_word_is_broken(browser: test_page.Browser, url: str) -> None:
    with test_page.visit(browser, url, language="de-DE", size=test_page.PHONE) as person:
        test_page.driver.numbers(person)
        assert person.page.evaluate(BROKEN) == []
        assert person.page.evaluate("() => document.documentElement.scrollWidth") <= test_page.PHONE["width"]
