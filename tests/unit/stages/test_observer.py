"""The observer that looks away."""

from mfcore.stages.observer import Observer


def test_nobody_watches_and_the_work_is_done() -> None:
    nobody, done = Observer(), []
    assert nobody.step("work", lambda: done.append(1) or "result") == "result"
    with nobody.progress("key", "title", "trials") as move:
        move(1, 2, "")
    nobody.show_table("key", [{"a": 1}], "")
    nobody.show_text("key", "text")
    nobody.announce("data.drifted", "shop", warnings=["twice as many"])
    assert done == [1]
