"""Drives an html report in headless Chromium: no error, no request, charts drawn, sorting by click and by key.

    check_html.py PAGE PICTURES_FOLDER      (Debian: chromium chromium-driver python3-selenium)
"""

import base64
import json
import os
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PAGE, PICTURES = os.path.abspath(sys.argv[1]), sys.argv[2]
os.makedirs(PICTURES, exist_ok=True)


def browser():
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def picture(driver, name, width, scheme):
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
    height = driver.execute_script("return document.documentElement.scrollHeight")
    # Beyond the viewport, not with a viewport as high as the page: the table takes a share of its height.
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {
        "captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": min(height, 6000), "scale": 1}})
    with open(os.path.join(PICTURES, name + ".png"), "wb") as file:
        file.write(base64.b64decode(shot["data"]))
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"


def column(driver, title):
    heads = [h.text.split(" ")[0] for h in driver.find_elements(By.CSS_SELECTOR, "#results thead th")]
    index = heads.index(title)
    cells = driver.execute_script(
        "return [...document.querySelectorAll('#results tbody tr')].map(r => r.cells[arguments[0]].dataset.v)", index)
    return index, [float(c) for c in cells if c is not None]


def main():
    driver = browser()
    driver.get("file://" + PAGE)
    drawn = driver.execute_script(
        "return [...document.querySelectorAll('canvas')].filter(c => !c.parentElement.hidden)"
        ".map(c => [c.id, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].some(v => v)])")
    assert drawn and all(d for _, d in drawn), drawn
    index, before = column(driver, "median")
    button = driver.find_elements(By.CSS_SELECTOR, "#results thead button")[index]
    button.click()
    ascending = column(driver, "median")[1]
    assert ascending == sorted(before), ascending
    button.send_keys(Keys.ENTER)
    descending = column(driver, "median")[1]
    assert descending == sorted(before, reverse=True), descending
    state = driver.find_elements(By.CSS_SELECTOR, "#results thead th")[index].get_attribute("aria-sort")
    assert state == "descending", state
    picture(driver, "light", 1300, "light")
    picture(driver, "dark", 1300, "dark")
    picture(driver, "phone", 400, "light")
    errors = [e for e in driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
    assert not errors, errors
    asked = [m["params"]["request"]["url"] for m in
             (json.loads(e["message"])["message"] for e in driver.get_log("performance"))
             if m["method"] == "Network.requestWillBeSent"]
    away = [url for url in asked if not url.startswith(("file://" + PAGE, "data:"))]
    assert not away, away
    driver.quit()
    print(f"html: {os.path.getsize(PAGE)} bytes, {len(drawn)} charts drawn, no error, no request, sorted by click and key")


main()
