"""Which data centre a session goes to: the configured one, unless the account was sent on to another."""

from nadia.telegram.session_material import DataCentre, SessionMaterial
from nadia.telegram.telethon.session import HeldSession

TEST_CENTRE = DataCentre(dc_id=2, host="127.0.0.1", port=9443, public_key=None)


def material(dc_id: int) -> SessionMaterial:
    return SessionMaterial(dc_id=dc_id, host="10.0.0.9", port=443, auth_key=b"\x01" * 256, user_id=7, is_bot=False)


def test_a_log_in_goes_to_the_configured_centre() -> None:
    session = HeldSession(material=None, data_centre=TEST_CENTRE)
    assert (session.dc_id, session.server_address, session.port) == (2, "127.0.0.1", 9443)


def test_a_configured_centre_that_has_moved_is_found_again() -> None:
    session = HeldSession(material=material(2), data_centre=TEST_CENTRE)
    assert (session.dc_id, session.server_address, session.port) == (2, "127.0.0.1", 9443)


def test_an_account_that_was_sent_on_stays_where_it_is() -> None:
    session = HeldSession(material=material(3), data_centre=TEST_CENTRE)
    assert (session.dc_id, session.server_address, session.port) == (3, "10.0.0.9", 443)
