"""What a pull request's comment says, and that it fits."""

from __future__ import annotations

from tests.unit import plan_json

from reconcile.render import markdown


def large(changes: int) -> plan_json.Json:
    """A plan of many tables, each with a step."""
    names = [f"app.table.public.table_{n:04}" for n in range(changes)]
    return plan_json.plan(
        [plan_json.change(name, "create", describe="9 columns", after={}) for name in names],
        [plan_json.step(f"{name}/1-create", {"sql": f"CREATE TABLE {name} (…)"}) for name in names],
        summary={"add": changes, "change": 0, "rebuild": 0, "replace": 0, "drop": 0},
    )


def test_the_first_line_marks_the_comment() -> None:
    """A later run finds and replaces it."""
    assert markdown.render(plan_json.rich()).startswith("<!-- reconcile:rag-platform/staging -->\n")


def test_symbols_stand_in_the_first_column_of_a_diff() -> None:
    """That is what gets them coloured."""
    block = markdown.render(plan_json.rich()).split("```diff\n")[1].split("```")[0]
    assert [line.split()[0] for line in block.splitlines() if line[0] != " "] == [*"+++!~", "-/+", *"???"]


def test_a_large_plan_fits_and_is_cut_between_changes() -> None:
    """Below what a comment may hold; the summary stays, and the rest is counted."""
    comment = markdown.render(large(3000))
    assert len(comment) < 65_000
    assert "**Plan: 3000 to add" in comment
    assert comment.count("```") == 2
    cut = next(line for line in comment.splitlines() if line.startswith("… and "))
    shown = sum(line.startswith("+ ") for line in comment.splitlines())
    assert cut.startswith(f"… and {3000 - shown} more")


def test_statements_that_do_not_fit_are_left_to_show() -> None:
    """Half a script would be worse than none."""
    comment = markdown.render(large(500))
    assert len(comment) < 65_000
    assert "CREATE TABLE" not in comment
    assert "reconcile show --format script" in comment


def test_the_digest_to_expect_is_there_to_paste() -> None:
    """An approval names the plan it is for, made with the same options."""
    plan = large(1)
    command = f"reconcile -e staging apply --auto-approve --expect {plan['digest'][7:19]}"
    assert f"`{command}`" in markdown.render(plan)
    plan["selection"] = {"only": ["app.*"], "exclude": [], "prune": "extra", "allow": ["index-gap=a.b"]}
    assert f"`{command} --only='app.*' --allow=index-gap=a.b --prune=extra`" in markdown.render(plan)


def test_what_is_blocked_is_not_offered_for_approval() -> None:
    """Its apply would be refused."""
    assert "--expect" not in markdown.render(plan_json.rich())


def test_an_option_to_paste_is_code_whatever_the_name() -> None:
    """Backquotes, pipes and mentions in a name stay inside."""
    address = 'app.table.public."a`b | @me <b>"'
    plan = plan_json.plan(
        [plan_json.change(address, "delete", before={})],
        [],
        blocked=[
            {"step": None, "address": address, "hazard": "deletes-data", "allow": f"--allow 'deletes-data={address}'"}
        ],
    )
    assert f"> Blocked: step 1 needs `` --allow 'deletes-data={address}' ``  \n" in markdown.render(plan)


def test_names_cannot_become_markup() -> None:
    """A fence inside a statement does not end ours, and a mention stays text."""
    plan = plan_json.plan(
        [plan_json.change("app.view.public.v", "create", after={})],
        [plan_json.step("app.view.public.v/1-create", {"sql": "select '```'"})],
        notes=["see @everyone <b>"],
    )
    comment = markdown.render(plan)
    assert "````sh" in comment
    assert "\\@everyone \\<b\\>" in comment
