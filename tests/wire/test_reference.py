"""The pages that say what is served say what is served."""

from tests.wire import reference


def test_the_list_of_routes_is_the_application_s() -> None:
    assert reference.PAGE.read_text() == reference.page(), "write it anew: python -m tests.wire.reference"
