"""A revoked session is left alone longer and longer."""

from nadia.app.revocation import revoked_pause


def test_the_pause_doubles_from_ten_minutes_to_six_hours() -> None:
    minutes = [revoked_pause(times) / 60 for times in range(8)]
    assert minutes == [10, 20, 40, 80, 160, 320, 360, 360]
    assert revoked_pause(10_000) == revoked_pause(7)
