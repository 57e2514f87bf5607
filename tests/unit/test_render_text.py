"""What the text of a plan says, line by line."""

from __future__ import annotations

from tests.unit import plan_json

from reconcile.render import equal, text
from reconcile.render.view import view


def test_the_summary_line_is_frozen() -> None:
    """Others match on it: this wording changes only with a changelog entry."""
    plan = plan_json.rich()
    assert (
        f"Plan: 1 to add, 1 to change, 1 to rebuild, 1 to replace, 0 to drop. Digest {plan['digest'][7:19]}\n"
        in text.render(plan)
    )


def test_no_changes_says_what_an_apply_records() -> None:
    """An empty plan still has a use on the first apply."""
    assert "No changes. The stores are as declared; apply records 214.\n" in text.render(plan_json.empty(records=214))
    assert "No changes. The stores are as declared.\n" in text.render(plan_json.empty())


def test_the_legend_has_only_symbols_that_occur() -> None:
    """A plan that only creates explains only `+`."""
    plan = plan_json.plan([plan_json.change("app.schema.audit", "create", after={})], [])
    assert text.render(plan).split("\n")[1] == "+ create"
    assert text.render(plan_json.empty()).split("\n")[1] == ""


def test_lines_stand_in_the_order_of_execution() -> None:
    """The replacement is a contract step and so comes last, though its store is listed before."""
    assert [line.address.split(".")[0] for line in view(plan_json.rich()).lines] == ["app", "app", "vectors", "graph"]


def test_children_have_no_number_and_stand_below_their_table() -> None:
    """Their short names leave the table's name out."""
    table = view(plan_json.rich()).lines[0]
    assert [(c.number, c.label) for c in table.children] == [(None, "column id"), (None, "column body")]


def test_blocked_lines_name_the_printed_number_and_what_to_paste() -> None:
    """Also for drift, which has no step of its own."""
    assert view(plan_json.rich()).blocked == (
        "Blocked: step 3 needs --allow reverts-drift=vectors.collection.passages",
        "Blocked: step 4 needs --allow index-gap=graph.index.passage_text",
    )


def test_one_hazard_of_many_steps_is_one_line() -> None:
    """A wall of the same sentence hides the others."""
    names = [f"app.column.public.t{n}.c" for n in range(300)]
    plan = plan_json.plan(
        [plan_json.change(name, "update", before={}, after={}) for name in names],
        [],
        blocked=[{"step": None, "address": name, "hazard": "rewrites-table"} for name in names],
    )
    assert view(plan).blocked == (
        "Blocked: 300 steps, 1 the first, need --allow rewrites-table"
        " (or rewrites-table=ADDRESS-GLOB for some of them)",
    )


def test_what_cannot_be_proved_is_shown_short_and_blocks() -> None:
    """Both texts, one line each."""
    unproved = {
        "address": "app.view.public.v",
        "path": "query",
        "declared": "select 1\n from t" + " and x" * 100,
        "live": "SELECT 1",
        "how": "the role may not CREATE",
    }
    shown = text.render(plan_json.empty(unproved=[unproved]))
    assert "  ?  app.view.public.v  cannot prove equal: query: the role may not CREATE\n" in shown
    assert "       declared  select 1 from t and x" in shown
    assert "Blocked: 1 change cannot be proved to be one (`cannot prove equal` above): declare what is live" in shown
    assert max(map(len, shown.splitlines())) < 130


def test_what_cannot_be_seen_is_not_called_as_declared() -> None:
    """An absence of changes proves nothing of it."""
    shown = text.render(plan_json.empty(partial={"app": ["no USAGE on schema s"]}))
    assert "No changes. What can be seen is as declared.\n" in shown


def test_a_long_value_does_not_fill_the_screen() -> None:
    """Both ends of a change stay, from a little before they differ; the JSON has all of it."""
    old, new = "x" * 500 + "a" * 500, "x" * 500 + "b" * 500
    change = plan_json.change("app.column.public.t.c", "update", describe=f"default {old} → {new}", before={}, after={})
    what = view(plan_json.plan([change], [])).lines[0].what
    assert len(what) <= 230
    assert "…xxxxxxxxaaa" in what
    assert "…xxxxxxxxbbb" in what


def test_drift_is_never_announced_without_its_difference() -> None:
    """What it was when last applied, and what it is now."""
    assert view(plan_json.rich()).lines[2].notes == ("moved in the store since the last apply: hnsw.m 16 → 20",)


def test_the_attribute_that_forces_a_replacement_is_named_among_several() -> None:
    """An unchanged or harmless attribute must not take the blame."""
    change = plan_json.change(
        "graph.index.i",
        "delete",
        "create",
        action_reason="replace_because_cannot_update",
        replace_paths=[["analyzer"]],
        before={"analyzer": "a", "comment": "x"},
        after={"analyzer": "b", "comment": "y"},
    )
    assert view(plan_json.plan([change], [])).lines[0].notes == ("analyzer forces replacement",)
    change["change"]["replace_paths"] = [["vector", "size"], ["vector", "distance"]]
    change["change"]["before"] |= {"a": 1, "b": 1}
    assert view(plan_json.plan([change], [])).lines[0].notes == ("vector.size and vector.distance force replacement",)


def test_a_narrow_terminal_wraps_and_loses_nothing() -> None:
    """Descriptions go on below themselves; every word is still there."""
    plan = plan_json.rich()
    narrow = text.render(plan, width=90)
    assert narrow != text.render(plan)
    assert set(text.render(plan).split()) == set(narrow.split())


def test_colour_adds_codes_and_nothing_else() -> None:
    """Without the codes it is the plain text."""
    import re

    coloured = text.render(plan_json.rich(), colour=True)
    assert "\x1b[31mindex-gap\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == text.render(plan_json.rich())


def test_control_characters_of_names_are_shown_not_sent() -> None:
    """A name in a store cannot move the cursor or forge a line."""
    plan = plan_json.empty(unmanaged=[{"address": "app.table.public.\x1b[2J\nPlan: 0 to add"}])
    assert "\\x1b[2J\\x0aPlan: 0 to add  unmanaged" in text.render(plan)


def test_many_unmanaged_objects_are_counted() -> None:
    """Two screens of `?` would hide the plan."""
    shown = text.render(plan_json.empty(unmanaged=[{"address": f"app.table.public.t{n}"} for n in range(100)]))
    assert "… and 75 more unmanaged" in shown


def test_the_question_counts_what_an_apply_does() -> None:
    """Columns of a new table are part of the table."""
    assert text.question(plan_json.rich()) == (
        "This will create 1 table; change 1 collection; rebuild 1 index; replace 1 index in app, graph and vectors."
    )


def test_pairs_judged_equal_are_listed_with_the_reason() -> None:
    """So that "no changes" can be checked."""
    pair = {
        "address": "app.column.public.t.c",
        "path": "default",
        "declared": "'a'",
        "live": "'a'::text",
        "how": "server",
    }
    shown = equal.render(plan_json.empty(equal=[pair]))
    assert "app.column.public.t.c default: the server spelled it so in a scratch build" in shown
    assert "nothing is spelled differently" in equal.render(plan_json.empty())
