"""The page without a browser: its files, its headers, its words; training over HTTP."""

import json
import re
import time
from importlib import resources
from pathlib import Path

import pytest

from rhapsode.serving.page.run_course import RunCourse
from rhapsode.serving.page.static_files import static_files
from rhapsode.serving.page.uploads import plain_name
from tests.serving.served import Client, served

LARGEST, REQUESTS = 120_000, 12
STATIC = resources.files("rhapsode.serving") / "static"


def text_of(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def test_page_is_small_and_asks_nobody_else(server: Client) -> None:
    names = set(static_files())
    assert {"index.html", "style.css", "main.js", "en.json", "zh.json"} <= names
    page = server.get("/")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy
    first = {"index.html", "style.css", "main.js", "en.json"}
    first |= set(re.findall(r'modulepreload" href="static/([\w.]+)"', page.text))
    assert len(first) + 2 <= REQUESTS  # the session, and the list of models
    sent = 0
    for name in names:
        answer = server.get("/" if name == "index.html" else f"/static/{name}")
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.text == text_of(name)
        foreign = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", answer.text)
        assert set(foreign) <= {"http://www.w3.org"}, name  # names of SVG, which nobody loads
        sent += int(answer.headers["content-length"])
        tag = {"if-none-match": answer.headers["etag"]}
        assert server.get(answer.url.path, headers=tag).status_code == 304
    assert sent < LARGEST
    assert "<script>" not in page.text
    assert " style=" not in page.text


@pytest.mark.parametrize("name", ["..%2f__init__.py", "main.py", "", "none.js"])
def test_only_files_of_the_page_are_served(server: Client, name: str) -> None:
    assert server.get(f"/static/{name}").status_code == 404


def test_every_word_stands_in_both_languages() -> None:
    words = {name: json.loads(text_of(f"{name}.json")) for name in ("en", "zh")}
    assert words["en"].keys() == words["zh"].keys()
    for key, english in words["en"].items():
        found = (re.findall(r"\{\w+\}", each) for each in (english, words["zh"][key]))
        assert len(set(map(frozenset, found))) == 1, key
    used = set(re.findall(r'data-t(?:-\w+)?="([\w-]+)"', text_of("index.html")))
    for name in static_files():
        if name.endswith(".js"):
            used |= set(re.findall(r'\bt\("([\w-]+)"', text_of(name)))
            used |= set(re.findall(r'\bt\(\w+ \? "([\w-]+)"', text_of(name)))
    assert used <= words["en"].keys()


def test_scripts_write_no_markup() -> None:
    for name in static_files():
        if name.endswith(".js"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(", text_of(name)), (
                name
            )


def test_copies_are_found_by_code_points(server: Client) -> None:
    error = server.refused("/api/copies", text="The ", model="bytes")
    assert (error["status"], error["code"]) == (400, "unsupported_parameter")
    assert server.refused("/api/copies", text=1)["param"] == "text"


def test_what_writes_needs_the_token() -> None:
    with served([], None, **{"x-nothing": "1"}) as client:
        assert client.get("/api/session").json()["may_write"] is False
        sent = client.post(
            "/api/uploads?name=a.txt",
            content=b"text",
            headers={"content-type": "application/octet-stream"},
        )
        assert sent.json()["error"]["code"] == "token_required"
        for path in ("/api/survey", "/api/jobs", "/api/jobs/a/stop", "/api/jobs/a/resume"):
            error = client.refused(path, corpus="kitchen", minutes=1)
            assert error["code"] == "token_required", path


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\tmp\\x y.txt", "x-y.txt"),
        ("红楼梦.txt", "红楼梦.txt"),
        ("..", "file"),
        ("-o", "o"),
        ("a" * 300 + ".txt", "a" * 80 + ".txt"),
        ("\U00020000" * 80 + ".txt", "\U00020000" * 40 + ".txt"),  # file systems count bytes
    ],
)
def test_names_of_uploads_are_plain(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_names_and_numbers_that_no_system_takes(server: Client) -> None:
    longest = "%F0%A0%80%80" * 64  # of four bytes each
    assert server.get(f"/api/jobs/{longest}").status_code == 404
    error = server.refused("/api/jobs", corpus="kitchen", minutes=1, name="\U00020000" * 64)
    assert error["param"] == "name"
    assert server.get("/api/jobs/a?since=" + "9" * 5000).status_code == 400


def test_course_of_a_run(tmp_path: Path) -> None:
    samples = "# Title\n\n## Step 2\n\nTemperature 0.5:\n\n```text\nab\n```\n"
    longer = samples + "\n## Step 4\n\nTemperature 1:\n\n````text\n```\nc\n````\n"
    steps = [
        {"event": "step", "step": k, "loss": 5.0 - k / 1000, "fraction": k / 4000,
         "elapsed": k / 100, "elements": 10 * k}
        for k in range(1, 4001)
    ]  # fmt: skip
    events = [
        *steps,
        {"event": "evaluation", "step": 4000, "loss": 1.5, "best": True, "elapsed": 40.0},
        {"event": "samples", "step": 2, "samples_bytes": len(samples)},
        {"event": "samples", "step": 4, "samples_bytes": len(longer)},
    ]
    (tmp_path / "samples.md").write_text(longer)
    lines = [json.dumps(event) + "\n" for event in events]
    (tmp_path / "metrics.jsonl").write_text("".join(lines) + '{"event": "st')
    course = RunCourse(tmp_path).after(0)
    assert course["lines"] == len(events)
    assert len(course["steps"]) <= 1500
    assert course["steps"][-1][0] == 4000
    assert course["evaluations"] == [[4000, 1.5, True, 40.0]]
    assert [each["texts"] for each in course["samples"]] == [[[0.5, "ab"]], [[1.0, "```\nc"]]]
    assert RunCourse(tmp_path).after(len(events))["steps"] == []
    assert RunCourse(tmp_path).after(99999)["restarted"]


@pytest.mark.slow
def test_training_from_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with served([], None) as client:
        text = "".join(f"The {name} sat on the mat.\n" for name in ("cat", "dog", "cow") * 400)
        sent = client.post(
            "/api/uploads?name=../my cats.txt",
            content=text.encode(),
            headers={"content-type": "application/octet-stream"},
        ).json()
        assert sent["name"] == "my-cats.txt"
        assert client.refused("/api/survey", upload="../../x")["status"] == 404
        assert client.refused("/api/survey", corpus="/etc/passwd")["param"] == "corpus"
        survey = client.post("/api/survey", json={"upload": sent["id"]}).json()
        assert survey["characters"] == len(text)
        for minutes in (0, -1, True, "3", None, 1e9):
            error = client.refused("/api/jobs", upload=sent["id"], minutes=minutes)
            assert error["param"] == "minutes"
        error = client.refused("/api/jobs", upload=sent["id"], minutes=1, name="../x")
        assert error["param"] == "name"
        job = client.post("/api/jobs", json={"upload": sent["id"], "minutes": 0.1}).json()
        assert job["name"] == "my-cats"
        assert "rhapsode train my-cats.txt -o runs/my-cats --budget 6s" in job["command"]
        second = client.refused("/api/jobs", upload=sent["id"], minutes=1)
        assert "one run at a time" in second["message"]
        end = time.monotonic() + 120
        while (course := client.get("/api/jobs/my-cats").json())["stage"] != "done":
            assert course["stage"] != "failed", course
            assert time.monotonic() < end
            time.sleep(0.2)
        assert course["baseline"] > 0
        assert course["evaluations"]
        assert course["samples"][0]["texts"]
        while [each["status"] for each in client.get("/v1/models").json()["data"]] != ["ready"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert client.text("The ", max_tokens=8)
        found = client.post("/api/copies", json={"model": "my-cats", "text": text[:40]}).json()
        assert found["copies"][0]["start"] == 0
        assert found["copies"][0]["document"] == "my-cats.txt"
        assert client.refused("/api/jobs/my-cats/stop")["status"] == 400
        assert client.refused("/api/jobs/none/stop")["status"] == 400
        assert client.get("/api/jobs/none").status_code == 404
