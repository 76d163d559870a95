"""The web page in a real browser whose microphone hears a recording: it asks, hears the answer, shows it.

Screenshots go to out/page (or STEPAUDIO_SCREENSHOTS) for people to look at.
"""

import os
import pathlib
import time
import wave

import numpy
import pytest
from conftest import ROOT, Server, recording, wav
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

SHOTS = pathlib.Path(os.environ.get("STEPAUDIO_SCREENSHOTS", ROOT / "out/page"))


def microphone(path, question):
    """Silence, the question, silence: what the fake microphone plays, once."""
    rate = 48_000
    samples = numpy.concatenate([numpy.zeros(rate * 6 // 10, "<i2"), recording(question, rate), numpy.zeros(rate * 6, "<i2")])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


@pytest.fixture(scope="module")
def browser(tmp_path_factory, questions):
    sound = tmp_path_factory.mktemp("microphone") / "question.wav"
    microphone(sound, questions[0])
    options = webdriver.ChromeOptions()
    for flag in [
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}%noloop", "--autoplay-policy=no-user-gesture-required", "--lang=en-US", "--hide-scrollbars", "--window-size=1280,900",
    ]:  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    yield browser
    browser.quit()


@pytest.fixture
def page(server, browser):
    browser.get(server.url)
    browser.execute_script("localStorage.clear()")
    browser.get(server.url)
    wait(browser, lambda: state(browser) == "ready")
    return browser


def wait(browser, condition, seconds=60):
    try:
        return WebDriverWait(browser, seconds, 0.05).until(lambda _: condition())
    except TimeoutException:
        raise AssertionError("waited in vain; the page says: " + find(browser, "body").text) from None


def find(browser, query):
    return browser.find_element(By.CSS_SELECTOR, query)


def state(browser):
    return find(browser, "#state").get_attribute("data-kind")


def answers(browser):
    """Answers that are whole: their figures are shown."""
    return [turn.find_element(By.CSS_SELECTOR, ".said").text for turn in browser.find_elements(By.CSS_SELECTOR, ".turn.assistant") if "ms" in turn.text]


def shoot(browser, name, width, height, theme):
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    )
    time.sleep(0.3)
    browser.save_screenshot(str(SHOTS / f"{name}-{'phone' if width < 500 else 'desktop'}-{theme}.png"))
    wide = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"the page is {wide} px too wide at {width} px"
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def shoot_all(browser, name):
    for width, height in [(1280, 860), (390, 844)]:
        for theme in ["light", "dark"]:
            shoot(browser, name, width, height, theme)


def test_a_typed_question_is_answered_and_played(page, questions):
    shoot_all(page, "empty")
    find(page, "#text").send_keys(questions[2]["text"] + Keys.ENTER)
    wait(page, lambda: state(page) == "speaking")
    wait(page, lambda: answers(page))
    wait(page, lambda: state(page) == "ready")
    turn = find(page, ".turn.assistant")
    assert "first audio" in turn.text and "real-time factor" in turn.text
    assert turn.find_element(By.CSS_SELECTOR, ".wave path").get_attribute("d").count("M") == 60
    assert answers(page)[0] != ""
    # Replay, by keyboard.
    play = turn.find_element(By.CSS_SELECTOR, ".play")
    play.send_keys(Keys.SPACE)
    wait(page, lambda: play.get_attribute("aria-label") == "Pause")
    wait(page, lambda: play.get_attribute("aria-label") == "Play")


def test_push_to_talk_is_heard(page, questions):
    button = find(page, "#microphone")
    # The fake microphone starts its file when it is opened: 0.6 s of silence, then the question.
    webdriver.ActionChains(page).click_and_hold(button).perform()
    wait(page, lambda: state(page) == "listening")
    time.sleep(0.7 + len(recording(questions[0])) / 24_000)
    webdriver.ActionChains(page).release(button).perform()
    wait(page, lambda: answers(page))
    assert answers(page) == [questions[0]["answer"]]
    assert page.find_elements(By.CSS_SELECTOR, ".turn.user .wave")
    shoot_all(page, "talk")


def test_hands_free_hears_and_answers(page, questions):
    find(page, "#hands-free").click()
    wait(page, lambda: answers(page))
    assert answers(page)[0] == questions[0]["answer"]
    assert find(page, "#hands-free").get_attribute("aria-pressed") == "true"
    find(page, "#hands-free").click()
    wait(page, lambda: find(page, "#hands-free").get_attribute("aria-pressed") == "false")


def test_stop_regenerate_and_clear(page, questions):
    slow = find(page, "#speed")
    page.execute_script("arguments[0].value = 0.5; arguments[0].dispatchEvent(new Event('input'))", slow)
    find(page, "#text").send_keys(questions[1]["text"] + Keys.ENTER)
    wait(page, lambda: state(page) == "speaking")
    find(page, "body").send_keys(Keys.ESCAPE)
    wait(page, lambda: "stopped at" in find(page, ".turn.assistant").text)
    page.find_element(By.XPATH, "//button[text()='Regenerate']").click()
    wait(page, lambda: state(page) == "speaking")
    assert len(page.find_elements(By.CSS_SELECTOR, ".turn.assistant")) == 1
    find(page, "#clear").click()
    assert not page.find_elements(By.CSS_SELECTOR, ".turn") and find(page, "#empty").is_displayed()


def test_a_voice_is_cloned_and_removed(page, questions, tmp_path):
    file = tmp_path / "voice.wav"
    file.write_bytes(wav(questions[0]))
    find(page, "#clone summary").click()
    submit = find(page, "#clone-form .primary")
    submit.click()
    assert find(page, "#clone-name-error").is_displayed() and find(page, "#clone-sound-error").is_displayed()
    find(page, "#clone-name").send_keys("bad/name")
    find(page, "#clone-text").send_keys(questions[0]["text"])
    find(page, "#clone-file").send_keys(str(file))
    submit.click()
    wait(page, lambda: "letters" in find(page, "#clone-name-error").text)
    shoot(page, "clone", 1280, 860, "light")
    find(page, "#clone-name").clear()
    find(page, "#clone-name").send_keys("browser")
    submit.click()
    wait(page, lambda: find(page, "#voice").get_attribute("value") == "browser")
    find(page, "#text").send_keys(questions[2]["text"] + Keys.ENTER)
    wait(page, lambda: answers(page))
    find(page, "#remove-voice").click()
    wait(page, lambda: [option.text for option in Select(find(page, "#voice")).options] == ["Hibari"])


def test_chinese_and_the_theme(page):
    find(page, "#language").click()
    assert find(page, "#clear").text == "新对话" and page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "zh-CN"
    assert Select(find(page, "#emotion")).options[1].text == "高兴"
    shoot(page, "chinese", 390, 844, "light")
    find(page, "#theme").click()
    assert page.execute_script("return document.documentElement.dataset.theme") in ("dark", "light")


def test_everything_has_a_name_for_screen_readers(page):
    nameless = page.execute_script(
        """return [...document.querySelectorAll("button, input, select, textarea")].filter((element) =>
           !(element.ariaLabel || element.textContent?.trim() || element.labels?.length)).map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_a_key_is_asked_for(browser):
    server = Server(environment={"STEPAUDIO_API_KEY": "only-this-key"})
    try:
        browser.get(server.url)
        for key in ["wrong-key-wrong", "only-this-key"]:
            wait(browser, lambda: find(browser, "#key-dialog").get_attribute("open"))
            find(browser, "#key").clear()
            find(browser, "#key").send_keys(key + Keys.ENTER)
            time.sleep(0.5)
        wait(browser, lambda: state(browser) == "ready")
        find(browser, "#text").send_keys("What color is the sky?" + Keys.ENTER)
        wait(browser, lambda: answers(browser))
    finally:
        server.stop()


def test_nothing_went_wrong_unseen(browser):
    """No script error, nothing that the content security policy had to refuse."""
    bad = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE" and not any(known in entry["message"] for known in ["400 (Bad Request)", "401 (Unauthorized)"])]
    assert bad == []
