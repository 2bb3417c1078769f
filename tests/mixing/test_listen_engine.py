"""What the page of a listening test computes, in Chromium: sound without clicks, orders without bias, digests like ours."""

import base64
import hashlib
from collections import Counter

import numpy as np
import pytest
from browser import opened
from listener import listen, mixes
from scipy.stats import chisquare

from mixing.listening.files import canonical

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def ape(tmp_path_factory):
    folders = mixes(tmp_path_factory.mktemp("mixes")).values()
    return listen(tmp_path_factory.mktemp("ape") / "t", *folders, "--criteria", "value,excitement", "--repeats", 1)


SWITCHES = """
async ([method, calls]) => {
  const rate = 44100, length = 2 * rate;
  const tone = (hz) => {
    const buffer = new AudioBuffer({ length, numberOfChannels: 2, sampleRate: rate });
    const samples = Float32Array.from({ length }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate));
    for (const channel of [0, 1]) buffer.copyToChannel(samples, channel);
    return buffer;
  };
  const context = new OfflineAudioContext(2, 3 * rate, rate);
  const engine = new dasp.Engine(context, new Map([["one", tone(200)], ["two", tone(300)]]), 1, method);
  for (const [time, call, ...args] of calls) context.suspend(time).then(() => { engine[call](...args); context.resume(); });
  const out = await context.startRendering();
  const bytes = new Uint8Array(out.getChannelData(0).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}
"""


RATE = 44100
STEP = 0.5 * 2 * np.pi * 300 / RATE  # the steepest of a tone of 300 Hz at 0.5


def rendered(page, *calls, method="ape"):
    return np.frombuffer(base64.b64decode(page.evaluate(SWITCHES, [method, list(calls)])), np.float32).astype(float)


def clicks(x):
    """A click is a jump, of the signal or of its slope; a fade of 5 ms adds little to either."""
    return np.abs(np.diff(x)).max() > STEP + 0.5 * np.pi / 2 / 0.005 / RATE or np.abs(np.diff(x, 2)).max() > 0.003


@pytest.mark.parametrize("method", ["ape", "mushra"])
def test_switching_has_no_click_and_keeps_the_place(method, ape, browser):
    with opened(browser, ape / "page" / "index.html") as page:
        steady = rendered(page, (0.1, "play", "one"), method=method)
        other = rendered(page, (0.1, "play", "two"), method=method)
        quick = ((0.1, "play", "one"), (1.0, "play", "two"), (1.005, "play", "one"), (1.5, "play", "two"))
        switched = rendered(page, *quick, method=method)
        loop = {"start": 0.3, "end": 0.55}
        moves = ((0.1, "play", "one"), (0.5, "seek", 1.2), (0.8, "loop", loop), (1.8, "pause"), (2.0, "play", "two"))
        moved = rendered(page, *moves, method=method)
    for x in (steady, switched, moved):
        assert np.abs(x).max() <= 0.5 + 1e-6
        assert not clicks(x)
    assert clicks(np.concatenate([steady[:RATE], other[RATE:]])), "a bare cut would have been found"
    assert np.abs(switched[:RATE] - steady[:RATE]).max() < 1e-6
    back = slice(int(1.2 * RATE), int(1.45 * RATE))
    assert np.abs(switched[back] - steady[back]).max() < 1e-6, "back where it would have been"
    late = slice(int(1.6 * RATE), None)
    assert np.abs(switched[late] - other[late]).max() < 1e-6, "in time with the other"
    assert np.abs(moved[int(1.9 * RATE) : int(2.0 * RATE)]).max() == 0, "paused"
    around = switched[int(1.5 * RATE) : int(1.6 * RATE)].reshape(-1, 45)  # 1 ms each, far less than a period
    hole = np.sqrt((around**2).mean(1)).min()
    assert (hole < 0.02) == (method == "mushra"), "MUSHRA's stimuli never sound together; APE's music has no hole"


def test_a_loop_plays_its_part_over_and_over(ape, browser):
    with opened(browser, ape / "page" / "index.html") as page:
        x = rendered(page, (0.1, "loop", {"start": 0.5, "end": 0.75}), (0.2, "play", "one"))
    period = round(0.25 * 44100)
    later = x[44100 : 44100 + 4 * period]
    assert np.abs(later[period:] - later[:-period]).max() < 1e-6
    assert np.abs(later).max() > 0.49


def test_numbers_of_the_page_are_ours(ape, browser):
    texts = ["", "abc", "é漢😀" * 30, "x" * 55, "x" * 56, "x" * 64, "y" * 1000]
    values = [{"b": [1, 2.5, -0.1], "a": {"z": None, "é": "line\n\"'\\\u2028\u0001</script>"}}, [True, "", {}], 12.3456789, 100]
    with opened(browser, ape / "page" / "index.html") as page:
        assert page.evaluate("t => t.map(dasp.sha256)", texts) == [hashlib.sha256(t.encode()).hexdigest() for t in texts]
        assert page.evaluate("v => v.map(dasp.canonical)", values) == [canonical(v) for v in values]
        assert page.evaluate("dasp.text('a\\uD800b ')") == "a\N{REPLACEMENT CHARACTER}b"
        stimulus = {"stimulus": "s", "label": "A", "plays": 1, "heard_s": 2, "ratings": {"q": 3}}
        one = {"page": "p", "position": 1, "seconds": 2, "comment": '+1, "a"', "stimuli": [stimulus]}
        text = page.evaluate("dasp.csv", {"participant": "=x", "pages": [one]})
    assert text.splitlines() == [
        "participant,page,position,page_seconds,stimulus,label,plays,heard_s,criterion,rating,comment",
        '\'=x,p,1,2,s,A,1,2,q,3,"\'+1, ""a"""',
    ]


ORDERS = """
(people) => people.map((person) => [
  dasp.pageOrder(dasp.test, person),
  dasp.test.pages.map((page) => dasp.stimulusOrder(dasp.test, page, person)),
])
"""


def test_orders_are_random_for_each_person_and_the_same_again(ape, browser):
    people = [f"p{i}" for i in range(400)]
    with opened(browser, ape / "page" / "index.html") as page:
        found = page.evaluate(ORDERS, people)
        assert page.evaluate(ORDERS, people[:20]) == found[:20]
        test = page.evaluate("dasp.test")
    (apart,) = test["apart"]
    assert all(abs(order.index(apart[0]) - order.index(apart[1])) == 2 for order, _ in found), "repeated pages are kept apart"
    for k, page in enumerate(test["pages"]):
        for name in page["stimuli"]:
            places = Counter(orders[k]["order"].index(name) for _, orders in found)
            assert chisquare([places[i] for i in range(3)]).pvalue > 1e-4
            starts = Counter(orders[k]["starts"]["value"][name] for _, orders in found)
            assert sorted(starts) == [17, 50, 83]
            assert chisquare(list(starts.values())).pvalue > 1e-4
