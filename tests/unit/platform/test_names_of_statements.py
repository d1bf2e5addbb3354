"""What statements are called in metrics: few names, that say what is done to which table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.postgres import metrics, statements
from nadia.postgres.statements import MOST_NAMES, OTHER, name_of


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT 1", "select"),
        ("select * from Batches b join drafts d on true", "select batches"),
        ("SELECT extract(epoch FROM clock_timestamp() - min(at)) FROM notices", "select notices"),
        ("SELECT a IS DISTINCT FROM b FROM pauses", "select pauses"),
        ("SELECT n FROM unnest(%(ids)s) AS n JOIN messages USING (id)", "select messages"),
        ("SELECT id FROM conversations WHERE id = 1 FOR UPDATE", "select conversations"),
        ("SELECT c.id FROM conversations c LEFT JOIN LATERAL (SELECT 1 FROM x) y ON true", "select conversations"),
        ("\n-- from nowhere\nUPDATE batches SET state = 'delete from'", "update batches"),
        ("INSERT INTO audit_log (actor) VALUES ('x') ON CONFLICT DO UPDATE SET y = 1", "insert audit_log"),
        ("DELETE FROM only_one WHERE true", "delete only_one"),
        ("WITH owner AS (SELECT 1 FROM telegram_accounts) INSERT INTO messages VALUES (1)", "insert messages"),
        ("WITH open AS (SELECT 1 FROM batches FOR UPDATE) SELECT * FROM open", "select batches"),
        ('UPDATE ONLY "outbox" SET x = 1', "update outbox"),
        ("SET TRANSACTION READ ONLY", "set"),
        ("", OTHER),
        ("-- nothing", OTHER),
        ("(((", OTHER),
    ],
)
def test_a_name_is_the_verb_and_the_first_table(statement: str, name: str) -> None:
    assert name_of(statement) == name


@given(st.text(alphabet=st.sampled_from("SELECT FROM join '\"-/*().,;\n\tx_9é"), max_size=300))
def test_any_text_has_a_short_name_without_the_values_in_it(text: str) -> None:
    name = name_of(text)
    assert name
    assert "'" not in name
    assert "\n" not in name


def test_names_are_bounded_whatever_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "_children", {})
    for number in range(2 * MOST_NAMES):
        statements._child(f"select unit_test_{number % (MOST_NAMES + 20)}")
    assert len(statements._children) <= MOST_NAMES + 1
    for name in statements._children:
        metrics.STATEMENT_SECONDS.remove(name)
