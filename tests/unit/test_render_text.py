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
        "Blocked: step 4 needs --allow index-gap=graph.index.passage_text",
        "Blocked: step 3 needs --allow reverts-drift=vectors.collection.passages",
    )


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
